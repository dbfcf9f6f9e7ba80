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
    way = _way_up(image)
    image = _flat(image)
    if way is not None:
        image = image.transpose(way)
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    if framing == "crop":
        side = max(_MARGIN * min(width, height), 1.0)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    # `reducing_gap` averages whole pixels first where a picture is far larger: faster, and no different to the eye
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))


def _way_up(image: Any) -> Any:
    """The turn that the EXIF orientation asks for; None where there is none, or EXIF is damaged: no reason to lose the picture."""
    turns = pillow().Transpose
    ways = {2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE}
    ways |= {6: turns.ROTATE_270, 7: turns.TRANSVERSE, 8: turns.ROTATE_90}
    try:
        return ways.get(image.getexif().get(0x0112))
    except Exception:  # as decoders do, it raises what it likes
        return None


def _flat(image: Any) -> Any:
    """The picture in mode RGB: transparent parts on white, more than 8 bits brought to 8."""
    Image = pillow()
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey of 16 or 32 bits, or of fractions: divided by the largest that their kind allows, told from the values themselves."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UnusableError("damaged")
    top = float(values.max(initial=0))
    if values.dtype == np.uint16:
        ceiling = 65_535.0
    elif values.dtype.kind == "f" and top <= 1:
        ceiling = 1.0
    else:
        ceiling = next((one for one in (255.0, 65_535.0) if top <= one), top)
    return np.rint(np.clip(values / ceiling, 0, 1) * 255).astype(np.uint8)
