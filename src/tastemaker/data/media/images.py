"""Pictures as squares of numbers: decoded, turned upright, laid on white, brought to a size."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np

from tastemaker.data.media.cells import UnusableError
from tastemaker.errors import MissingExtraError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO")
"""What is decoded, where Pillow was built with it; left out: what starts another program (EPS), holds more than pictures (PDF), or
is taken for whatever is nothing else (TGA)."""

Framing = Literal["crop", "stretch"]

_MARGIN = 0.875
"""Share of the shorter side that a crop keeps, as networks for ImageNet are evaluated."""
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's orientations as Pillow's `Transpose`."""
_STRIP = 64
"""Rows that are worked on at once, of the small picture."""


def pillow() -> Any:
    """Pillow's module Image.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pillow", "images", "decoding images") from None
    return Image


def square(data: bytes, size: int, framing: Framing, max_pixels: int) -> np.ndarray:
    """A picture as uint8 (size, size, 3), red, green and blue; of an animation the first frame.

    Args:
        data: the content of a file of one of `FORMATS`.
        size: of a side, in pixels.
        framing: "crop" keeps the middle and the proportions, "stretch" keeps everything.
        max_pixels: larger pictures are not decoded.

    Raises:
        UnusableError: with the reason.
    """
    image = opened(data, max_pixels)
    try:
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (2 * size, 2 * size))  # decodes at 1/2, 1/4 or 1/8, never below what is asked
        return framed(image, size, framing)
    except UnusableError:
        raise
    except Exception:  # decoders raise what they like at damaged data
        raise UnusableError("damaged") from None


def opened(data: bytes, max_pixels: int) -> Any:
    """A picture of which only the header has been read.

    Raises:
        UnusableError: with the reason.
    """
    Image = pillow()
    try:
        Image.init()
        image = Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableError("more pixels than max_pixels") from None
    except Image.UnidentifiedImageError:
        raise UnusableError("not an image of a known format") from None
    except Exception:  # decoders raise what they like at damaged data
        raise UnusableError("damaged") from None
    if image.width * image.height > max_pixels:
        raise UnusableError("more pixels than max_pixels")
    return image


def framed(image: Any, size: int, framing: Framing) -> np.ndarray:
    """The current frame of Pillow's image as uint8 (size, size, 3)."""
    Image = pillow()
    image.load()
    way = _way_up(image)  # once it is loaded, as TIFF is turned by then
    if image.mode == "F" or (image.mode.startswith("I") and not image.mode.startswith("I;16")):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    factor = max(1, min(image.size) // (2 * size))
    width, height = image.width / factor, image.height / factor
    image = _flat(image) if factor == 1 else _shrunk(image, factor)
    box = (0.0, 0.0, width, height)
    if framing == "crop":
        side = max(_MARGIN * min(width, height), 1.0)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image if way is None else image.transpose(way))


def _shrunk(image: Any, factor: int) -> Any:
    """As `_flat`, each square of `factor` pixels one, their mean; strip by strip, so that a huge picture is in memory once, not four times."""
    Image = pillow()
    found = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, _STRIP * factor):
        strip = image.crop((0, top, image.width, min(image.height, top + _STRIP * factor)))
        found.paste(_flat(strip).reduce(factor), (0, top // factor))
    return found


def _way_up(image: Any) -> int | None:
    """The turn that the EXIF orientation asks for; None where there is none, or EXIF is damaged: no reason to lose the picture."""
    try:
        return _TURNS.get(image.getexif().get(0x0112))
    except Exception:  # as decoders do, it raises what it likes
        return None


def _flat(image: Any) -> Any:
    """The picture in mode RGB: transparent parts on white, 16 bits brought to 8."""
    Image = pillow()
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) * np.float32(255 / 65_535)).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey of 32 bits, or of fractions: divided by the largest that their kind allows, told from the values themselves."""
    top = float(values.max(initial=0))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnusableError("damaged")
    ceilings = (1.0, 255.0, 65_535.0) if values.dtype.kind == "f" else (255.0, 65_535.0)
    ceiling = next((one for one in ceilings if top <= one), top)
    found = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _STRIP):
        rows = slice(start, start + _STRIP)
        found[rows] = np.rint(np.clip(values[rows] / ceiling, 0, 1) * 255)
    return found
