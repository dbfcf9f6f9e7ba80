"""Sounds as samples: the content of WAV files, of any rate and width, as float32 of one channel at one rate."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from tastemaker.data.media.cells import UnusableError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LOWEST, _HIGHEST = 1_000, 768_000
"""Hz of files that are read."""
_OPEN_END = (0, 0xFFFFFFFF)
"""Sizes that programs write which do not know yet how long it will be."""


def waveform(data: bytes, rate: int, seconds: float) -> np.ndarray:
    """The beginning of a WAV file: float32 (samples,) between -1 and 1, the mean of its channels, at most so many seconds.

    Integers of 8, 16, 24 or 32 bits and floats of 32 or 64 are read. (The standard library's `wave` reads neither floats nor, before
    Python 3.12, the extensible form that files of 24 bits come in.)

    Args:
        data: the content of a file.
        rate: samples a second of what is given back.
        seconds: what comes later is not read.

    Raises:
        UnusableError: with the reason.
    """
    kind, channels, found, width, body = _parts(data)
    if not channels or not _LOWEST <= found <= _HIGHEST:
        raise UnusableError("damaged")
    block = channels * width
    most = math.ceil(seconds * found) * block
    body = body[: min(len(body) // block * block, most)]
    samples = _samples(body, kind, width).reshape(-1, channels).mean(1, dtype=np.float32)
    return checked(samples, found, rate)


def checked(samples: np.ndarray, found: int, rate: int) -> np.ndarray:
    """float32 samples of rate `found` at `rate`.

    Raises:
        UnusableError: there are none, or one is not finite.
    """
    if not len(samples):
        raise UnusableError("no samples")
    if not np.isfinite(samples).all():
        raise UnusableError("a sample that is missing or not finite")
    samples = np.clip(samples, -1, 1)
    if found == rate:
        return samples
    common = math.gcd(found, rate)
    return resample_poly(samples, rate // common, found // common).astype(np.float32)


def listed(cell: Any, rate: int, seconds: float) -> np.ndarray:
    """As `waveform`, of a list of numbers that has the rate asked for."""
    most = math.ceil(seconds * rate)
    return checked(np.asarray(cell[:most], np.float32), rate, rate)


def _parts(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Kind of numbers, channels, rate, bytes a number, and the numbers."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UnusableError("not a WAV file")
    at, form = 12, None
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt ":
            form = data[at : at + size]
        if name == b"data":
            if form is None or len(form) < 16:
                raise UnusableError("damaged")
            if size not in _OPEN_END and at + size > len(data):
                raise UnusableError("truncated")
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
            if kind == _EXTENSIBLE and len(form) >= 26:
                kind = int.from_bytes(form[24:26], "little")
            if (kind, bits) not in _WIDTHS:
                raise UnusableError("a WAV file of compressed or unknown samples")
            return kind, channels, rate, bits // 8, data[at:] if size in _OPEN_END else data[at : at + size]
        at += size + size % 2
    raise UnusableError("truncated")


_WIDTHS = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


def _samples(body: bytes, kind: int, width: int) -> np.ndarray:
    """float32 between -1 and 1."""
    if kind == _FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(body, f"<f{width}").astype(np.float32)
    if width == 1:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:
        held = np.frombuffer(body, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(held), 4), np.uint8)
        wide[:, 1:] = held  # the three bytes as the upper ones of four, so that the sign is where it belongs
        return wide.view("<i4")[:, 0].astype(np.float32) / 2**31
    return np.frombuffer(body, f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
