from __future__ import annotations

import numpy as np
import torch

from tastemaker.nn.mel import LogMel, mel_bands


def test_a_spectrogram_is_what_the_definition_says() -> None:
    rate, mels = 4_000, 12
    spectrum = LogMel(rate, mels)
    samples = np.random.default_rng(0).normal(0, 0.1, 400)
    found = spectrum(torch.from_numpy(samples.astype(np.float32))).numpy()
    length, hop, size = 100, 40, 128
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.concatenate([np.zeros(size // 2), samples, np.zeros(size // 2)])
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), mels + 2) / 2595) - 1)
    expected = np.zeros((mels, 400 // hop + 1))
    for frame in range(expected.shape[1]):
        part = np.zeros(size)
        part[(size - length) // 2 : (size + length) // 2] = window
        part = part * padded[frame * hop : frame * hop + size]
        # the Fourier transform, term by term
        power = np.array([abs(sum(part * np.exp(-2j * np.pi * k * np.arange(size) / size))) ** 2 for k in range(size // 2 + 1)])
        for mel in range(mels):
            low, peak, high = edges[mel : mel + 3]
            frequency = np.arange(size // 2 + 1) * rate / size
            weight = np.clip(np.minimum((frequency - low) / (peak - low), (high - frequency) / (high - peak)), 0, None)
            expected[mel, frame] = (np.log10(max(weight @ power, 1e-10)) + 4) / 4
    assert found.shape == expected.shape == (mels, spectrum.frames(400))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bands_cover_all_frequencies_and_each_lies_above_the_last() -> None:
    bands = mel_bands(16_000, 512, 40)
    peaks = bands.argmax(1)
    assert (bands.sum(0)[int(peaks[0]) + 1 : int(peaks[-1])] > 0.9).all()
    assert (peaks.diff() > 0).all() and float(bands.max()) <= 1


def test_a_tone_is_loudest_in_its_band_and_silence_is_the_floor() -> None:
    spectrum, rate = LogMel(16_000, 40), 16_000
    moments = torch.arange(rate) / rate
    heights = [int(spectrum(0.5 * torch.sin(2 * torch.pi * pitch * moments)).mean(1).argmax()) for pitch in (200, 800, 3_200)]
    assert heights == sorted(set(heights))
    assert (spectrum(torch.zeros(rate)) == (-10 + 4) / 4).all()
