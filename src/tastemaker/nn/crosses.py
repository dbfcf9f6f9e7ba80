"""Products of features: two-way sums and cross layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tastemaker.nn.mlp import xavier


def pairwise_sum(vectors: Tensor) -> Tensor:
    """Σ_{f<g} v_f ⊙ v_g: (rows, fields, dim) → (rows, dim), in time linear in fields (Rendle 2010, "Factorization machines", lemma 3.1)."""
    found: Tensor = _PairwiseSum.apply(vectors)
    return found


class _PairwiseSum(torch.autograd.Function):
    """Its slope by v_f is Σ_g v_g - v_f: two passes over the vectors, where that of squares and sums takes five."""

    @staticmethod
    def forward(ctx, vectors):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(vectors)
        return vectors.sum(1).square().sub_(vectors.square().sum(1)).mul_(0.5)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (vectors,) = ctx.saved_tensors
        return (vectors.sum(1, keepdim=True) - vectors) * gradient.unsqueeze(1)


class CrossLayers(nn.Module):
    """x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l (Wang et al. 2021, "DCN V2", eq. 1); with a rank, W_l = U_l V_lᵀ (eq. 2)."""

    def __init__(self, size: int, layers: int, rank: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(size, size) if rank is None else nn.Sequential(nn.Linear(size, rank, bias=False), nn.Linear(rank, size))
            for _ in range(layers)
        )
        xavier(self)

    def forward(self, first: Tensor) -> Tensor:
        crossed = first
        for layer in self.layers:
            crossed = torch.addcmul(crossed, first, layer(crossed).to(first.dtype))
        return crossed


class VectorCrossLayers(nn.Module):
    """x_{l+1} = x_0 (w_lᵀ x_l) + b_l + x_l (Wang et al. 2017, "Deep & cross network", eq. 3)."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(size, 1, bias=False) for _ in range(layers))
        self.biases = nn.Parameter(torch.zeros(layers, size))
        xavier(self)

    def forward(self, first: Tensor) -> Tensor:
        crossed = first
        for layer, bias in zip(self.layers, self.biases, strict=True):
            crossed = first * layer(crossed) + bias + crossed
        return crossed
