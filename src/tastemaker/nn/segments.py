"""Sums and softmaxes over the tokens of each packed row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rows_of(offsets: Tensor, tokens: int) -> Tensor:
    """int64 (tokens,): the row of each token, of rows given by `offsets`, int64 (rows + 1,)."""
    return torch.repeat_interleave(offsets.diff(), output_size=tokens)


def weighted_sum(values: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    """Σ of weight · value over each row: float32 (tokens, dim) and (tokens,) → (rows, dim); zero for rows without tokens."""
    found: Tensor = _WeightedSum.apply(values, weights, offsets)
    return found


class _WeightedSum(torch.autograd.Function):
    """One pass either way: torch's own sums over rows of different length are made for gradients of tables."""

    @staticmethod
    def forward(ctx, values, weights, offsets):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(values, weights, offsets)
        if not len(values):
            return values.new_zeros(len(offsets) - 1, values.shape[1])
        every = torch.arange(len(values), device=values.device)
        return F.embedding_bag(every, values, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        values, weights, offsets = ctx.saved_tensors
        spread = gradient.index_select(0, rows_of(offsets, len(values)))
        by_weight = (spread * values).sum(1)
        return spread.mul_(weights.unsqueeze(1)), by_weight, None


def softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    """exp(score) / Σ exp(score) over each row: float32 (tokens,) → (tokens,)."""
    if not len(scores):
        return scores
    rows = rows_of(offsets, len(scores))
    count = len(offsets) - 1
    highest = scores.detach().new_full((count,), -torch.inf).scatter_reduce(0, rows, scores.detach(), "amax")
    powers = (scores - highest.index_select(0, rows)).exp()
    sums = powers.new_zeros(count).index_add(0, rows, powers)
    return powers / sums.index_select(0, rows)
