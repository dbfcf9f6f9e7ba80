from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tastemaker.data.media.cells import UnusableError
from tastemaker.data.media.images import square

LARGE = 64_000_000


def halves(width: int = 60, height: int = 40) -> Image.Image:
    """Left red, right blue; the upper half is lighter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 200
    pixels[:, width // 2 :, 2] = 200
    pixels[: height // 2, :, 1] = 100
    return Image.fromarray(pixels)


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def seen(data: bytes, framing: Any = "stretch") -> np.ndarray:
    """Mean colours of the four quarters: float (2, 2, 3)."""
    found = square(data, 32, framing, LARGE)
    assert found.shape == (32, 32, 3) and found.dtype == np.uint8
    quarters = found.reshape(2, 16, 2, 16, 3)[:, 2:-2, :, 2:-2]
    return quarters.mean((1, 3))


EXPECTED = np.array([[[200, 100, 0], [0, 100, 200]], [[200, 0, 0], [0, 0, 200]]])


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("JPEG", "RGB", {"quality": 95, "subsampling": 0}),
        ("JPEG", "CMYK", {"quality": 95, "subsampling": 0}),
        ("JPEG", "RGB", {"quality": 95, "progressive": True}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "CMYK", {}),
        ("TIFF", "LAB", {}),
        ("TIFF", "YCbCr", {"compression": None}),
        ("PPM", "RGB", {}),
    ],
)
def test_formats_and_modes_show_the_same_picture(kind: str, mode: str, options: dict[str, Any]) -> None:
    image = halves()
    if mode == "LAB":
        from PIL import ImageCms

        turn = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image = ImageCms.applyTransform(image, turn) or image
    elif mode == "P":
        image = image.quantize(8)
    else:
        image = image.convert(mode)
    found = seen(written(image, kind, **options))
    if mode == "LAB":
        assert np.abs(found - EXPECTED).max() < 40
    else:
        assert np.abs(found - EXPECTED).max() < 12


GREYS = np.tile(np.linspace(0, 1, 64), (64, 1))
"""Black on the left, white on the right."""


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("PNG", (GREYS * 255).astype(np.uint8)),
        ("PNG", (GREYS * 65_535).astype(np.uint16)),
        ("TIFF", (GREYS * 65_535).astype(np.uint16)),
        ("TIFF", (GREYS * 65_535).astype(np.int32)),
        ("TIFF", (GREYS * 255).astype(np.int32)),
        ("TIFF", (GREYS * 2e9).astype(np.int32)),
        ("TIFF", GREYS.astype(np.float32)),
        ("TIFF", (GREYS * 255).astype(np.float32)),
    ],
    ids=lambda one: one if isinstance(one, str) else f"{one.dtype}-{one.max():.0f}",
)
def test_grey_of_any_depth_spans_black_to_white(kind: str, values: np.ndarray) -> None:
    found = square(written(Image.fromarray(values), kind), 64, "stretch", LARGE).astype(int)
    assert np.abs(found - np.rint(GREYS * 255)[:, :, None]).max() <= 1


def test_bitmaps_of_two_tones_are_black_and_white() -> None:
    found = square(written(Image.fromarray(GREYS > 0.5), "PNG"), 64, "stretch", LARGE)
    assert (found[:, :30] == 0).all() and (found[:, 34:] == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode: str) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, 16:, 3] = 255
    image = Image.fromarray(pixels)
    data = written(image.quantize(4) if mode == "P" else image.convert(mode), "PNG")
    found = square(data, 32, "stretch", LARGE)
    assert (found[:, :14] == 255).all() and (found[:, 18:] == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(orientation: int) -> None:
    turns = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.rot90(a, 1),
        lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
    ]  # what a camera held that way would have stored; each is undone by reading
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation - 1](np.asarray(halves()))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        assert np.abs(seen(written(stored, kind, exif=exif.tobytes(), **options)) - EXPECTED).max() < 12


def test_damaged_exif_is_no_reason_to_lose_a_picture() -> None:
    for exif in (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0"):
        assert np.abs(seen(written(halves(), "PNG", exif=exif)) - EXPECTED).max() < 12


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_of_an_animation_the_first_frame_is_seen(kind: str, options: dict[str, Any]) -> None:
    more = [Image.new("RGB", (60, 40), colour) for colour in ("black", "white")]
    data = written(halves(), kind, save_all=True, append_images=more, **options)
    assert np.abs(seen(data) - EXPECTED).max() < 12


def test_crop_keeps_proportions_and_stretch_keeps_everything() -> None:
    stripes = np.zeros((20, 100, 3), np.uint8)
    stripes[:, :30, 0] = stripes[:, -30:, 2] = 255
    data = written(Image.fromarray(stripes), "PNG")
    cropped, stretched = (square(data, 40, framing, LARGE) for framing in ("crop", "stretch"))
    assert cropped.max() == 0
    assert stretched[:, :10, 0].min() == 255 == stretched[:, -10:, 2].min()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_pictures_of_odd_shapes_are_seen(size: tuple[int, int]) -> None:
    for framing in ("crop", "stretch"):
        assert (square(written(Image.new("RGB", size, (9, 8, 7)), "PNG"), 32, framing, LARGE) == [9, 8, 7]).all()


def test_a_huge_jpeg_is_decoded_small_and_looks_the_same() -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((4000, 3000), Image.Resampling.BICUBIC)
    data = written(rough, "JPEG", quality=90)
    small = square(data, 64, "stretch", LARGE).astype(int)
    whole = np.asarray(rough.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(small - whole).max() < 12
    with Image.open(io.BytesIO(data)) as image:
        assert image.draft(None, (128, 128)) is not None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "I;16", "F"])
def test_a_huge_picture_is_shrunk_in_strips_and_looks_the_same(mode: str) -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, (12, 9, 3), dtype=np.uint8)).resize((1001, 1507), Image.Resampling.BICUBIC)
    if mode in ("I;16", "F"):
        grey = np.asarray(rough.convert("L"))
        image = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey.astype(np.float32) / 255)
    else:
        image = rough.quantize(200) if mode == "P" else rough.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(200)
    exif = Image.Exif()
    exif[0x0112] = 6
    kind = "TIFF" if mode == "F" else "PNG"
    found = square(written(image, kind, exif=exif), 32, "crop", LARGE).astype(int)
    colours = image.convert("RGB") if mode == "P" else rough if mode in ("RGB", "RGBA") else rough.convert("L").convert("RGB")
    turned = colours.transpose(Image.Transpose.ROTATE_270)
    side = 0.875 * 1001
    box = ((1507 - side) / 2, (1001 - side) / 2, (1507 + side) / 2, (1001 + side) / 2)
    expected = np.asarray(turned.resize((32, 32), Image.Resampling.BICUBIC, box=box)).astype(int)
    if mode in ("RGBA", "LA"):
        expected = 255 + (expected - 255) * 200 // 255
    assert np.abs(found - expected).max() < 12


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(name: bytes, held: bytes) -> bytes:
        return struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8_001, 8_000), (10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_not_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(UnusableError, match="more pixels than max_pixels"):
        square(bomb(*size), 32, "stretch", LARGE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no image at all", "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known format"),
        (b"%PDF-1.4\n", "not an image of a known format"),
        (b"\x89PNG\r\n\x1a\n", "not an image of a known format"),
        (bomb(30, 30)[:50], "damaged"),
        (bomb(300, 300), "damaged"),
        (written(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "damaged"),
    ],
)
def test_what_is_no_picture_is_told_by_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        square(data, 32, "stretch", LARGE)


KINDS = {kind: written(halves(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_picture_is_damaged(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    data = written(Image.fromarray(noise), kind)
    for share in (0.01, 0.3, 0.6, 0.9):
        with pytest.raises(UnusableError):
            square(data[: int(share * len(data))], 32, "stretch", LARGE)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32), st.integers(1, 20))
def test_whatever_the_bytes_there_is_a_square_or_a_reason(kind: str, seed: int, changes: int) -> None:
    data, chance = bytearray(KINDS[kind]), random.Random(seed)
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        found: Any = square(bytes(data), 16, "crop", 10**6).shape
    except UnusableError as reason:
        found = str(reason)
    assert found in ((16, 16, 3), "damaged", "not an image of a known format", "more pixels than max_pixels")
