from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.image_cnn import ImageCNN
from tastemaker.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from conftest import TwoGroups


class Means(nn.Module):
    """A network of three numbers: the mean of each colour as it is given."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Fragile(nn.Module):
    """A network that divides by zero where the picture is black."""

    def forward(self, images: Tensor) -> Tensor:
        return 1 / images.mean((2, 3))


class Normed(nn.Sequential):
    """A network with a batch norm, of four layers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 8))


def wrong_shape() -> nn.Module:
    return nn.Identity()


def wrong_size() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 5))


def no_network() -> int:
    return 3


MEANS = {"module": f"{__name__}:Means", "size": 16, "mean": (0, 0, 0), "deviation": (1, 1, 1)}


def encoder(**settings: object) -> ImageCNN:
    return ImageCNN(ImageCNN.Config.parse(settings))


def picture(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(into, kind)
    return into.getvalue()


def test_a_network_of_ones_own_sees_pictures_as_configured() -> None:
    items = pa.table({"photo": [picture((255, 0, 51)), None, picture((0, 102, 0))]})
    found = encoder(**MEANS).encode(items)
    np.testing.assert_allclose(found.values, [[1, 0, 0.2], [0, 0, 0], [0, 0.4, 0]], atol=1e-6)
    assert found.present.tolist() == [True, False, True] and found.rejects == {}
    found = encoder(**MEANS | {"mean": (0.5, 0.5, 0.5), "deviation": (0.5, 0.25, 1)}).encode(items)
    np.testing.assert_allclose(found.values[0], [1, -2, -0.3], atol=1e-6)


def test_rejects_are_counted_by_reason_and_leave_no_vector(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture((255, 0, 0)))
    cells = ["red.png", "gone.png", None, "", "http://localhost:1/red.png", "../x", str(tmp_path / "red.png"), "also-gone.png"]
    found = encoder(**MEANS, folder=str(tmp_path)).encode(pa.table({"photo": cells}))
    assert found.present.tolist() == [True, False, False, False, False, False, True, False]
    assert found.rejects == {
        "no such file": 2,
        "a URL, where only files of this machine are read": 1,
        "a path that leads out of the folder": 1,
    }
    assert not found.values[~found.present].any()


def test_structs_of_bytes_and_path_are_read(tmp_path: Path) -> None:
    (tmp_path / "green.png").write_bytes(picture((0, 255, 0)))
    cells = [
        {"bytes": picture((255, 0, 0)), "path": "a.png"},
        {"bytes": None, "path": "green.png"},
        {"bytes": b"x", "path": None},
    ]
    found = encoder(**MEANS, folder=str(tmp_path)).encode(pa.table({"photo": cells}))
    np.testing.assert_allclose(found.values, [[1, 0, 0], [0, 1, 0], [0, 0, 0]], atol=1e-6)
    assert found.rejects == {"not an image of a known format": 1}


def test_a_large_file_or_picture_is_a_reject() -> None:
    items = pa.table({"photo": [picture((0, 0, 0), "BMP"), picture((0, 0, 0))]})
    assert encoder(**MEANS, max_bytes=500).encode(items).rejects == {"more bytes than max_bytes": 1}
    assert encoder(**MEANS, max_pixels=100).encode(items).rejects == {"more pixels than max_pixels": 2}


def test_a_vector_that_is_not_finite_is_a_reject() -> None:
    items = pa.table({"photo": [picture((0, 0, 0)), picture((255, 255, 255))]})
    found = encoder(**MEANS | {"module": f"{__name__}:Fragile"}).encode(items)
    assert found.present.tolist() == [False, True]
    assert found.rejects == {"the network's vector is not finite": 1}


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("nonsense", "package.module:name"),
        ("not.installed:net", "ModuleNotFoundError"),
        ("os:getcwdd", "did you mean 'getcwd'"),
        ("torch.nn:Identity", r"makes \(2, 3, 16, 16\)"),
        ("torch:float32", "a dtype"),
        ("os:getcwd", "returns a str"),
        ("torch.nn:Softmax2d", r"makes \(2, 3, 16, 16\)"),
        ("torch.nn:LazyLinear", "LazyLinear"),
    ],
)
def test_a_network_that_does_not_fit_is_said_when_it_is_built(module: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        encoder(module=module, size=16)


def test_a_folder_that_is_not_there_is_said_when_fitting_and_no_fault_later(nobody: Interactions) -> None:
    items = pa.table({"photo": ["red.png", None]})
    with pytest.raises(ConfigError, match="folder = 'nowhere'"):
        encoder(**MEANS, folder="nowhere").fit(items, nobody)
    assert encoder(**MEANS, folder="nowhere").encode(items).rejects == {"no such file": 1}


def test_columns_of_other_kinds_are_said() -> None:
    with pytest.raises(DataError, match="of type list"):
        encoder(**MEANS).encode(pa.table({"photo": [[b"a"]]}))
    with pytest.raises(DataError, match="columns a, b"):
        encoder(**MEANS).encode(pa.table({"a": [b"a"], "b": [b"b"]}))


def test_the_version_names_settings_and_weights() -> None:
    one, other = encoder(size=32), encoder(size=32)
    assert one.version == other.version != encoder(size=33).version
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.load_state_dict(other.state_dict())
    assert one.version != other.version


def test_pictures_of_one_thing_are_nearer_than_of_another() -> None:
    def drawn(round_: bool, colour: tuple[int, int, int], shift: int) -> bytes:
        from PIL import ImageDraw

        image = Image.new("RGB", (96, 96), (240, 240, 240))
        draw, box = ImageDraw.Draw(image), (20 + shift, 20, 70 + shift, 70)
        (draw.ellipse if round_ else draw.rectangle)(box, fill=colour)
        into = io.BytesIO()
        image.save(into, "PNG")
        return into.getvalue()

    cells = [drawn(round_, (200, 30, 30), shift) for round_ in (True, False) for shift in (0, 6)]
    found = encoder(size=96).encode(pa.table({"photo": cells})).values
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    alike = found @ found.T
    assert min(alike[0, 1], alike[2, 3]) > alike[:2, 2:].max()


def spots(group: np.ndarray, size: int) -> pa.Table:
    """A light spot of any colour on a dark ground of any colour, on the left (group 0) or on the right."""
    rng = np.random.default_rng(1)
    cells = []
    for right in group:
        pixels = np.zeros((size, size, 3), np.uint8)
        pixels[:] = rng.integers(0, 120, 3)
        row, column, width = rng.integers(0, 3 * size // 4), rng.integers(0, size // 4), size // 4
        column += size // 2 if right else 0
        pixels[row : row + width, column : column + width] = rng.integers(136, 256, 3)
        into = io.BytesIO()
        Image.fromarray(pixels).save(into, "PNG")
        cells.append(into.getvalue())
    return pa.table({"photo": cells})


def tuned(world: TwoGroups, **settings: Any) -> tuple[ImageCNN, float]:
    items = spots(world.group, 64)
    made = encoder(size=64, **settings)
    made.fit(items, world.train)
    return made, world.precision(made.encode(items).values)


def test_the_last_block_is_fitted_to_who_buys_what(two_groups: TwoGroups) -> None:
    frozen, before = tuned(two_groups)
    fitted, after = tuned(two_groups, tune="last", tuning={"epochs": 6, "learning_rate": 1e-3})
    assert after > 0.9 > 0.8 > before
    state, start = fitted.state_dict(), frozen.state_dict()
    changed = {int(name.split(".")[1]) for name in state if not torch.equal(state[name], start[name])}
    assert changed == {17, 18}
    assert fitted.version != frozen.version
    assert fitted.tuned is not None and 0.28 < fitted.tuned.trained / 3_350_000 < 0.32


def test_all_of_a_network_is_fitted_and_its_norms_stay(two_groups: TwoGroups) -> None:
    _, before = tuned(two_groups, module=f"{__name__}:Normed")
    settings = {"module": f"{__name__}:Normed", "tuning": {"epochs": 15, "learning_rate": 3e-3}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fitted, after = tuned(two_groups, **settings, tune="full")
    assert after > 0.9 > before
    norm = fitted.net[1]
    assert torch.equal(norm.running_mean, torch.zeros(8)) and not torch.equal(norm.weight, torch.ones(8))
    last, _ = tuned(two_groups, **settings, tune="last")
    assert last.tuned is not None and last.tuned.trained == 8 * 128 + 8


@pytest.mark.parametrize("module", [f"{__name__}:Means", "torch.nn:Sequential"])
def test_a_network_without_a_last_layer_is_said(module: str) -> None:
    with pytest.raises(ConfigError):
        encoder(module=module, size=16, tune="last")


def test_items_that_cannot_be_decoded_are_passed_over_in_fitting(two_groups: TwoGroups) -> None:
    photos = spots(two_groups.group, 64)["photo"].to_pylist()
    photos[:8] = [b"text", None, b"", photos[8][:70], *photos[8:12]]
    made = encoder(size=16, module=f"{__name__}:Normed", tune="full", tuning={"epochs": 1})
    made.fit(pa.table({"photo": photos}), two_groups.train)
    assert made.tuned is not None and made.tuned.steps > 0


def test_settings_without_effect_are_said() -> None:
    with pytest.raises(ConfigError, match='no tuning: it has no effect with tune = "none"'):
        encoder(tuning={"epochs": 3})
    config = ImageCNN.Config.parse({"size": 64})
    assert ImageCNN.Config.parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(("package", "module"), [("PIL", f"{__name__}:Means"), ("efficientnet_lite_pytorch", None)])
def test_a_package_that_is_missing_is_named_with_its_extra(
    package: str, module: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"tastemaker\[images\]"):
        encoder(module=module, size=16)


def test_an_image_may_come_as_a_data_url() -> None:
    text = "data:image/png;base64," + base64.b64encode(picture((255, 0, 51))).decode()
    for column in (pa.array([text]), pa.array([text.encode()])):
        np.testing.assert_allclose(encoder(**MEANS).encode(pa.table({"photo": column})).values, [[1, 0, 0.2]], atol=1e-6)
