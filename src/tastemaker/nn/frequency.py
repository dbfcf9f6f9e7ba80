"""Filters of a history's frequencies that never look ahead."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tastemaker.nn.ragged import Packing


class LowPass(nn.Module):
    """What the slow part of a row's past says at each of its tokens.

    A discrete Fourier transform over the `window` newest tokens (zeros before the first), of which the mean and the lowest
    `frequencies` - 1 waves are kept, and its inverse, read at the newest token. That is a weighted sum of the tokens j steps back, the same for
    every token:

        k_j = (1 + 2 Σ_{0<f<frequencies} cos(2π f j / window)) / window

    (the wave of window / 2 counts once). Rows may have at most `window` tokens.
    """

    kernel: Tensor

    def __init__(self, window: int, frequencies: int) -> None:
        super().__init__()
        waves = torch.arange(min(frequencies, window // 2 + 1), dtype=torch.float64)
        once = (waves == 0) | (2 * waves == window)
        cosines = (2 * math.pi / window * torch.arange(window).unsqueeze(1) * waves).cos()
        kernel = (cosines * torch.where(once, 1.0, 2.0)).sum(1) / window
        self.register_buffer("kernel", kernel.float(), persistent=False)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        outputs = []
        for group, block in packing.blocks(packing.spread(tokens)):
            steps = torch.arange(group.length, device=tokens.device)
            back = steps.unsqueeze(1) - steps
            weights = torch.where(back >= 0, self.kernel[back.clamp_min(0)], 0.0)
            outputs.append((weights @ block).flatten(0, 1))
        return packing.collect(torch.cat(outputs)) if outputs else tokens

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each line of the packing: (tokens, dim) → (lines, dim)."""
        outputs = []
        for group, block in packing.blocks(packing.spread(tokens)):
            there = torch.ones(group.rows, group.length, device=tokens.device) if group.real is None else group.real.float()
            back = there.sum(1, keepdim=True).long() - 1 - torch.arange(group.length, device=tokens.device)
            weights = (self.kernel[back.clamp_min(0)] * there).unsqueeze(1)
            outputs.append((weights @ block).squeeze(1))
        return torch.cat(outputs) if outputs else tokens[:0]
