from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tastemaker.encoders.image_cnn import ImageCNN
from tastemaker.errors import ConfigError, DataError


class Means(nn.Module):
    """A network of three numbers: the mean of each colour as it is given."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Fragile(nn.Module):
    """A network that divides by zero where the picture is black."""

    def forward(self, images: Tensor) -> Tensor:
        return 1 / images.mean((2, 3))


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


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under this name the networks above can be plugged in."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


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


def test_a_folder_that_is_not_there_and_columns_of_other_kinds_are_said() -> None:
    with pytest.raises(ConfigError, match="folder = 'nowhere'"):
        encoder(**MEANS, folder="nowhere")
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
