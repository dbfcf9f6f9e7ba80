"""Dice: an activation whose bend lies where the data lie."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dice(nn.Module):
    """p x + (1 - p) α x with p = σ((x - E[x]) / √(Var[x] + ε)), α learned for each channel (Zhou et al. 2018, "Deep interest network", eq. 4).

    Mean and variance are the batch's in training and moving averages of them otherwise, as in batch norm; ε = 1e-8 as in the paper. A batch of one,
    which has no variance, is read by the moving averages.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """(n, width) → (n, width)."""
        own = self.training and len(values) > 1
        gate = torch.sigmoid(
            F.batch_norm(values, self.mean, self.variance, training=own, momentum=self.momentum, eps=1e-8)
            if len(values)
            else values
        )
        alpha = self.alpha.to(values.dtype)
        return values * torch.lerp(alpha, torch.ones_like(alpha), gate)
