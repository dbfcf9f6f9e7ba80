from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from tastemaker.data.media.cells import UnusableError
from tastemaker.data.media.sounds import listed, waveform

RATE = 8_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
"""A second of 440 Hz."""


def written(width: int, rate: int = RATE, channels: int = 1, tone: np.ndarray = TONE) -> bytes:
    """As the standard library writes integers."""
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        values = np.repeat(np.rint(tone * (2 ** (8 * width - 1) - 1)).astype(np.int64), channels)
        if width == 1:
            file.writeframes((values + 128).astype(np.uint8).tobytes())
        else:
            file.writeframes(b"".join(int(one).to_bytes(width, "little", signed=True) for one in values))
    return into.getvalue()


def floats(kind: type) -> bytes:
    """As SciPy writes floats."""
    into = io.BytesIO()
    wavfile.write(into, RATE, TONE.astype(kind))
    return into.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integers_of_any_width_are_the_same_tone(width: int, channels: int) -> None:
    found = waveform(written(width, channels=channels), RATE, 10)
    assert found.dtype == np.float32 and len(found) == RATE
    np.testing.assert_allclose(found, TONE, atol=2 ** (1 - 8 * min(width, 3)) + 1e-7)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_are_the_same_tone(kind: type) -> None:
    np.testing.assert_allclose(waveform(floats(kind), RATE, 10), TONE, atol=1e-6)


def test_the_extensible_form_is_read() -> None:
    plain = written(3)
    form = plain[20:36]
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    longer = b"\xfe\xff" + form[2:] + struct.pack("<HHI", 22, 24, 4) + guid
    data = (
        b"RIFF\0\0\0\0WAVE" + b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", 40) + longer + plain[36:]
    )
    np.testing.assert_array_equal(waveform(data, RATE, 10), waveform(plain, RATE, 10))


@pytest.mark.parametrize("rate", [4_000, 11_025, 22_050, 44_100, 48_000])
def test_any_rate_becomes_the_one_asked_for(rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    found = waveform(written(2, rate=rate, tone=tone), RATE, 10)
    assert abs(len(found) - RATE) <= 1
    np.testing.assert_allclose(found[500:-500], TONE[500 : len(found) - 500], atol=0.01)


def test_what_is_too_high_for_the_rate_is_not_folded_down() -> None:
    high = 0.5 * np.sin(2 * np.pi * 7_000 * np.arange(44_100) / 44_100)
    assert np.abs(waveform(written(2, rate=44_100, tone=high), RATE, 10)[500:-500]).max() < 0.02


def test_only_the_beginning_is_read() -> None:
    assert len(waveform(written(2), RATE, 0.25)) == 2_000
    assert len(listed(TONE.tolist(), RATE, 0.25)) == 2_000


def test_sizes_left_open_by_a_stream_are_to_the_end() -> None:
    data = written(2)
    for size in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        np.testing.assert_array_equal(waveform(data[:40] + size + data[44:], RATE, 10), waveform(data, RATE, 10))


def changed(at: int, value: bytes) -> bytes:
    data = written(2)
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a WAV file"),
        (b"ID3\x03 an mp3", "not a WAV file"),
        (written(2)[:12], "truncated"),
        (written(2)[:44], "truncated"),
        (written(2)[:5000], "truncated"),
        (written(2, tone=TONE[:0])[:44], "no samples"),
        (changed(20, b"\x55\0"), "a WAV file of compressed or unknown samples"),
        (changed(34, b"\x0c\0"), "a WAV file of compressed or unknown samples"),
        (changed(22, b"\0\0"), "damaged"),
        (changed(24, b"\0\0\0\0"), "damaged"),
        (changed(24, b"\xff\xff\xff\xff"), "damaged"),
        (changed(12, b"junk"), "damaged"),
        (floats(np.float32)[:-4] + struct.pack("<f", np.nan), "a sample that is missing or not finite"),
    ],
)
def test_what_cannot_be_used_is_told_by_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        waveform(data, RATE, 10)


def test_lists_are_samples() -> None:
    np.testing.assert_allclose(listed([0.5, -0.5, 3.0, -9.0], RATE, 10), [0.5, -0.5, 1, -1])
    for cell in ([0.5, None], [float("nan")], [float("inf")]):
        with pytest.raises(UnusableError, match="missing or not finite"):
            listed(cell, RATE, 10)


@given(st.binary(max_size=40), st.integers(0, 60))
def test_whatever_the_bytes_there_are_samples_or_a_reason(noise: bytes, at: int) -> None:
    try:
        found: object = waveform(changed(at, noise), RATE, 0.1).dtype
    except UnusableError as reason:
        found = type(reason)
    assert found in (np.float32, UnusableError)
