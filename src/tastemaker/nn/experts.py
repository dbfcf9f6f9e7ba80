"""Mixtures of experts: perceptrons of one width that gates weigh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tastemaker.nn.mlp import mlp


class Experts(nn.Module):
    """Perceptrons side by side that read the same: (rows, size) → (rows, experts, width)."""

    def __init__(self, count: int, size: int, hidden: Sequence[int], **options: Any) -> None:
        """`options` are those of `mlp`."""
        super().__init__()
        self.experts = nn.ModuleList(mlp(size, hidden, **options) for _ in range(count))

    def forward(self, values: Tensor) -> Tensor:
        return torch.stack([expert(values) for expert in self.experts], 1)


class Gate(nn.Module):
    """Σ_e softmax_e(W x) expert_e (Ma et al. 2018, "Modeling task relationships in multi-task learning", eq. 6 and 7)."""

    def __init__(self, size: int, experts: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(size, experts, bias=False)

    def forward(self, values: Tensor, experts: Tensor) -> Tensor:
        """(rows, size) and (rows, experts, width) → (rows, width)."""
        shares = self.weigh(values).softmax(1).to(experts.dtype)
        return torch.bmm(shares.unsqueeze(1), experts).squeeze(1)


class Towers(nn.Module):
    """A perceptron a task, each with an input of its own: (rows, size) a task → (rows, tasks)."""

    def __init__(self, count: int, size: int, hidden: Sequence[int], **options: Any) -> None:
        """`options` are those of `mlp`."""
        super().__init__()
        self.towers = nn.ModuleList(mlp(size, hidden, 1, **options) for _ in range(count))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat([tower(values) for tower, values in zip(self.towers, inputs, strict=True)], 1)
