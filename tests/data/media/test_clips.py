from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tastemaker.data.media.cells import UnusableError
from tastemaker.data.media.clips import frames, is_clip

SHADES = [0, 60, 120, 180, 240]


def read(cell: Any, count: int = 5, folder: Path | None = None) -> np.ndarray | None:
    return frames(cell, count, 16, "stretch", 10**6, folder, 10**6)


def shades(found: np.ndarray | None) -> list[int]:
    """The grey of each frame, each of one colour."""
    assert found is not None and found.shape[1:] == (16, 16, 3)
    means = found.reshape(len(found), -1)
    assert np.ptp(means, axis=1).max() <= 4
    return np.rint(means.mean(1)).astype(int).tolist()


def stills() -> list[Image.Image]:
    return [Image.new("RGB", (20, 10), (shade,) * 3) for shade in SHADES]


def animation(kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    first, *more = stills()
    first.save(into, kind, save_all=True, append_images=more, duration=100, **options)
    return into.getvalue()


def still(image: Image.Image) -> bytes:
    into = io.BytesIO()
    image.save(into, "PNG")
    return into.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_animations_are_read_frame_by_frame(kind: str, options: dict[str, Any]) -> None:
    data = animation(kind, **options)
    np.testing.assert_allclose(shades(read(data)), SHADES, atol=4)
    np.testing.assert_allclose(shades(read(data, 3)), [0, 120, 240], atol=4)
    np.testing.assert_allclose(shades(read(data, 1)), [0], atol=4)
    np.testing.assert_allclose(shades(read(data, 10)), np.repeat(SHADES, 2), atol=4)


def test_frames_far_into_a_large_animation_are_not_decoded() -> None:
    into = io.BytesIO()
    first, *more = (Image.new("L", (20, 10), 5 * place) for place in range(50))
    first.save(into, "GIF", save_all=True, append_images=more)
    assert shades(frames(into.getvalue(), 2, 16, "stretch", 200, None, 10**6)) == [0, 5 * 31]
    assert shades(frames(into.getvalue(), 2, 16, "stretch", 400, None, 10**6)) == [0, 5 * 49]


def test_lists_of_pictures_are_clips(tmp_path: Path) -> None:
    data = [still(one) for one in stills()]
    (tmp_path / "last.png").write_bytes(data[-1])
    assert shades(read(data)) == SHADES
    assert shades(read([data[0], None, "last.png", {"bytes": data[2], "path": None}], 3, tmp_path)) == [0, 240, 120]
    assert shades(read(still(stills()[3]))) == [180] * 5


@pytest.mark.parametrize("scale", [1, 1 / 255])
@pytest.mark.parametrize("shape", [(12, 8), (12, 8, 1), (12, 8, 3)])
def test_nested_lists_of_numbers_are_clips(shape: tuple[int, ...], scale: float) -> None:
    values = np.ones(shape) * np.array(SHADES).reshape(-1, *[1] * len(shape))
    cell = (values * scale if scale < 1 else values.astype(int)).tolist()
    assert shades(read(cell)) == SHADES


def test_nothing_is_nothing() -> None:
    for cell in (None, "", [], [None], ["", None]):
        assert read(cell) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"", "no bytes"),
        (animation("GIF")[:60], "damaged"),
        (animation("WEBP", lossless=True)[:-20], "damaged"),
        ([still(stills()[0]), b"text"], "not an image of a known format"),
        ([still(stills()[0]), "a.png"], "a path, where no folder is set"),
        ([[[1, 2], [3]]], "frames of different sizes"),
        ([[[1, 2], [3, None]]], "a number that is missing or not finite"),
        ([[[1.0, float("nan")]]], "a number that is missing or not finite"),
        ([[[[1, 2]]]], "not frames of grey, or of red, green and blue"),
        ([[[]]], "not frames of grey, or of red, green and blue"),
        ([np.zeros((1001, 1000)).tolist()], "more pixels than max_pixels"),
    ],
)
def test_what_cannot_be_used_is_told_by_reason(cell: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        read(cell)


def test_types_of_columns_with_clips() -> None:
    grey = pa.list_(pa.list_(pa.list_(pa.uint8())))
    for kind in (
        pa.binary(),
        pa.string(),
        pa.list_(pa.binary()),
        pa.large_list(pa.string()),
        grey,
        pa.list_(grey),
        pa.list_(grey, 3),
    ):
        assert is_clip(kind)
    for kind in (pa.int8(), pa.list_(pa.int8()), pa.list_(pa.list_(pa.binary())), pa.list_(pa.list_(grey))):
        assert not is_clip(kind)
