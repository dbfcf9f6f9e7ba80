"""Networks for pictures over time and for sounds as pictures of frequency over time; small enough to be trained on a catalogue."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_GROUPS = 4
"""Of group norms, in place of batch norms, since what is made of a row must not depend on those beside it."""


class Conv2Plus1d(nn.Sequential):
    """R(2+1)D (Tran et al. 2018, "A closer look at spatiotemporal convolutions for action recognition", §3.5), a small one.

    Each layer convolves within frames (1 × 3 × 3), then over time (3 × 1 × 1), with a rectifier between; means over time and place, and
    a linear map. Clips (n, 3, time, size, size) become (n, dim). Deviations: no residual connections, group norms (Wu & He 2018).
    """

    def __init__(self, dim: int, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels[:-1]), channels, strict=True):
            layers += [
                nn.Conv3d(before, after, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
                nn.GroupNorm(_GROUPS, after),
                nn.ReLU(),
                nn.Conv3d(after, after, (3, 1, 1), padding=(1, 0, 0)),
                nn.GroupNorm(_GROUPS, after),
                nn.ReLU(),
            ]
        super().__init__(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels[-1], dim))


class PerFrame(nn.Module):
    """A network for images, on each frame by itself: clips (n, 3, time, size, size) become (n, time, d)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: Tensor) -> Tensor:
        count, _, time = clips.shape[:3]
        images = clips.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        vectors: Tensor = self.net(images)
        return vectors.view(count, time, -1)


class TemporalAttention(nn.Module):
    """Vectors over time (n, time, width) as one (n, dim), by what came when.

    A transformer layer (Vaswani et al. 2017) with a learned vector for each moment, and attention over its outputs by one learned query.
    Inputs are brought to length 1 times the root of their width, so that networks of any scale can stand before.
    """

    def __init__(self, width: int, time: int, dim: int, heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, dim)
        self.moments = nn.Parameter(torch.randn(time, dim))
        self.layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.query = nn.Parameter(torch.zeros(dim))
        self.mix = nn.Linear(dim, dim)

    def forward(self, vectors: Tensor) -> Tensor:
        scaled = nn.functional.normalize(vectors, dim=-1) * vectors.shape[-1] ** 0.5
        tokens = self.layer(self.project(scaled) + self.moments)
        weights = (tokens @ self.query / tokens.shape[-1] ** 0.5).softmax(1)
        mixed: Tensor = self.mix((weights.unsqueeze(2) * tokens).sum(1))
        return mixed


class SoundCNN(nn.Sequential):
    """Convolutions over frequency and time (after Kong et al. 2020, "PANNs", CNN6), then the mean and the maximum over time.

    Log-mel spectrograms (n, 1, mels, frames) become (n, dim). Deviations: far fewer channels, group norms, and frequencies are kept
    apart up to the linear map, where PANNs take their mean: a small catalogue does not teach what pitch is.
    """

    def __init__(self, dim: int, channels: tuple[int, ...], mels: int) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(_GROUPS, after),
                nn.ReLU(),
                nn.AvgPool2d(2, ceil_mode=True),
            ]
            mels = -(-mels // 2)
        super().__init__(*layers, _OverTime(), nn.Linear(2 * channels[-1] * mels, dim))


class _OverTime(nn.Module):
    """(n, channels, mels, frames) → (n, 2 · channels · mels): means, then maxima."""

    def forward(self, values: Tensor) -> Tensor:
        rows = values.flatten(1, 2)
        return torch.cat([rows.mean(2), rows.amax(2)], dim=1)
