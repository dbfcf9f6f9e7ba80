"""Clips as frames over time: animations, lists of pictures, nested lists of numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.data.features.columns import is_list
from tastemaker.data.media.cells import UnusableError, content, is_file
from tastemaker.data.media.images import Framing, framed, opened, pillow, square

_MOST_FRAMES, _MOST_PIXELS = 10_000, 32
"""Frames of an animation that are looked at, and their pixels as multiples of `max_pixels`; later ones are not: to see a frame, most
formats have those before it decoded."""


def is_clip(kind: pa.DataType) -> bool:
    """Whether values are files, lists of files, or lists of frames: (frames, height, width) or (frames, height, width, 3) numbers."""
    if is_list(kind) and is_file(kind.value_type):
        return True
    depth = 0
    while is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return is_file(kind) if not depth else depth in (3, 4) and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def frames(
    cell: Any, count: int, size: int, framing: Framing, max_pixels: int, folder: Path | None, max_bytes: int
) -> np.ndarray | None:
    """uint8 (count, size, size, 3): frames as far apart as can be, each decoded as a picture; None where the cell is empty.

    A clip of fewer frames shows some of them twice. Frames are counted, not timed: how long each is shown does not matter.

    Raises:
        UnusableError: with the reason.
    """
    if not isinstance(cell, list):
        data = content(cell, folder, max_bytes)
        return None if data is None else _animation(data, count, size, framing, max_pixels)
    if not cell:
        return None
    if isinstance(cell[0], list):
        return _numbers(cell, count, size, framing, max_pixels)
    found = [one for one in (content(part, folder, max_bytes) for part in cell) if one is not None]
    if not found:
        return None
    return _spread(len(found), count, lambda place: square(found[place], size, framing, max_pixels))


def _spread(there: int, count: int, frame: Callable[[int], np.ndarray]) -> np.ndarray:
    """`count` of the frames that are there, in order, each made once."""
    places = (np.arange(count) * there) // count if there < count else np.rint(np.linspace(0, there - 1, count)).astype(int)
    made = {place: frame(place) for place in sorted(set(places.tolist()))}
    return np.stack([made[place] for place in places.tolist()])


def _animation(data: bytes, count: int, size: int, framing: Framing, max_pixels: int) -> np.ndarray:
    image = opened(data, max_pixels)

    def frame(place: int) -> np.ndarray:
        image.seek(place)
        return framed(image, size, framing)

    try:
        most = _MOST_PIXELS * max_pixels // (image.width * image.height)
        return _spread(min(getattr(image, "n_frames", 1), _MOST_FRAMES, most), count, frame)
    except UnusableError:
        raise
    except Exception:  # decoders raise what they like at damaged data
        raise UnusableError("damaged") from None


def _numbers(cell: list[Any], count: int, size: int, framing: Framing, max_pixels: int) -> np.ndarray:
    """Of nested lists: whole numbers up to 255; fractions up to 1, or up to 255 where one is larger."""
    try:
        values = np.array(cell)
        values = values.astype(np.float64) * (255 if values.dtype.kind == "f" and values.max(initial=0) <= 1 else 1)
    except (TypeError, ValueError):
        raise UnusableError("frames of different sizes") from None
    if values.ndim not in (3, 4) or not values.size or (values.ndim == 4 and values.shape[3] not in (1, 3)):
        raise UnusableError("not frames of grey, or of red, green and blue")
    if not np.isfinite(values).all():
        raise UnusableError("a number that is missing or not finite")
    if values.shape[1] * values.shape[2] > max_pixels:
        raise UnusableError("more pixels than max_pixels")
    pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    if pixels.ndim == 3 or pixels.shape[3] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:3], 1), 3, axis=3)
    Image = pillow()
    return _spread(len(pixels), count, lambda place: framed(Image.fromarray(pixels[place]), size, framing))
