"""Pointwise aggregated attention over ragged rows: a weight is the SiLU of a score, not a share of a softmax, and may be negative."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.lags import Rectangle
from tastemaker.nn.ragged import Packing


class PointwiseAttention(nn.Module):
    """One layer of HSTU (Zhai et al. 2024, eq. 1-3): project, aggregate, and let a gate decide what passes.

    U, V, Q, K = SiLU(f₁(norm(X))); A = SiLU(Q Kᵀ + b) / n; Y = X + f₂(norm(A V) ⊙ U). A token sees itself and what came before it in
    its row, n being how many that are. The bias b is learned by how many tokens and by how much time lie between two, for all heads alike.
    """

    def __init__(self, dim: int, heads: int, max_tokens: int, buckets: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 4 * dim)
        self.by_distance = nn.Parameter(torch.randn(max_tokens) * 0.02)
        self.by_lag = nn.Parameter(torch.randn(buckets) * 0.02)
        self.norm_seen = nn.LayerNorm(dim)
        self.mix = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, packing: Packing, parts: list[Rectangle]) -> Tensor:
        """(tokens, dim) → (tokens, dim); `parts` from `nn.lags.rectangles`."""
        gate, rest = F.silu(self.project(self.norm(tokens))).split([tokens.shape[1], 3 * tokens.shape[1]], dim=1)
        slots = packing.spread(rest)
        outputs = []
        for part, block in zip(parts, slots.split([part.slots for part in parts]), strict=True):
            query, key, value = block.view(part.rows, part.length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            weights = F.silu(query @ key.transpose(2, 3) + self._bias(part).unsqueeze(-3)) * _shares(part.length, tokens)
            outputs.append((weights @ value).transpose(1, 2).reshape(part.slots, -1))
        if not outputs:
            return tokens
        seen = packing.collect(torch.cat(outputs))
        return tokens + self.mix(self.dropout(self.norm_seen(seen) * gate))

    def _bias(self, part: Rectangle) -> Tensor:
        """(length, length) or (rows, length, length)."""
        steps = torch.arange(part.length, device=self.by_distance.device)
        bias = look_up(self.by_distance, (steps.unsqueeze(1) - steps).clamp_(min=0))
        return bias + (self.by_lag[0] if part.lags is None else look_up(self.by_lag, part.lags))


def _shares(length: int, like: Tensor) -> Tensor:
    """(length, length): what a token's weights are multiplied by, 1 over how many it sees, and 0 for those after it."""
    counts = torch.arange(1, length + 1, device=like.device, dtype=like.dtype)
    return torch.ones(length, length, device=like.device, dtype=like.dtype).tril_().div_(counts.unsqueeze(1))


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]` of a vector: float32 of the index's shape. Its gradient is one count of the cells by index."""
    found: Tensor = _LookUp.apply(table, index)
    return found


class _LookUp(torch.autograd.Function):
    """A gather from a short vector; torch's own gradient adds cell by cell and costs more than the attention."""

    @staticmethod
    def forward(ctx, table, index):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(index)
        ctx.size = len(table)
        return table.index_select(0, index.flatten()).view(index.shape)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (index,) = ctx.saved_tensors
        return torch.bincount(index.flatten(), gradient.flatten(), minlength=ctx.size).to(gradient.dtype), None
