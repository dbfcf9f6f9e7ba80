"""Log-mel spectrograms: how loud each band of frequencies is over time, with bands as wide as the ear tells them apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_FLOOR = 1e-10
"""Power below which all is silence."""


class LogMel(nn.Module):
    """log₁₀ of mel-band powers by a short-time Fourier transform, of 25 ms windows each 10 ms, brought to about -1…1.

    Bands are triangles on the mel scale m = 2595 log₁₀(1 + f / 700) (O'Shaughnessy 1987) from 0 Hz to half the rate; windows are
    periodic Hann windows, centred on the frames; beyond the ends is silence. (log₁₀ power + 4) / 4, as in Whisper
    (Radford et al. 2023), but without their cut at 8 below the peak, so that loudness can be told.
    """

    window: Tensor
    bands: Tensor
    """float32 (mels, frequencies)"""

    def __init__(self, rate: int, mels: int) -> None:
        super().__init__()
        length, self.hop = round(0.025 * rate), max(1, round(0.010 * rate))
        self.size = 1 << max(1, math.ceil(math.log2(length)))
        self.register_buffer("window", torch.hann_window(length), persistent=False)
        self.register_buffer("bands", mel_bands(rate, self.size, mels), persistent=False)

    def frames(self, samples: int) -> int:
        """Frames of a sound of so many samples."""
        return samples // self.hop + 1

    def forward(self, samples: Tensor) -> Tensor:
        """float32 (…, samples) → (…, mels, frames)."""
        found = torch.stft(
            samples,
            self.size,
            hop_length=self.hop,
            win_length=len(self.window),
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = self.bands @ found.abs().square()
        return (power.clamp_min(_FLOOR).log10() + 4) / 4


def mel_bands(rate: int, size: int, mels: int) -> Tensor:
    """float32 (mels, size / 2 + 1): triangles that rise from one edge to the next, and fall to the one after."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0).float()
