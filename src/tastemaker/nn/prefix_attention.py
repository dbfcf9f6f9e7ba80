"""Attention that does not depend on what is asked, over all that came before, at every token of ragged rows at once and in linear time."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

_SHARPEST = 8.0


class PrefixAttention(nn.Module):
    """At token t of a row Σ_{j ≤ t} a_j V x_j, a = softmax_{j ≤ t} (8 tanh(K x_j / 8)), for each of several heads.

    A token's weight does not depend on t but for the softmax's sum, so both sums run along the row. Scores are kept within ±8, so that no
    weight is lost in the sums.
    """

    def __init__(self, dim: int, heads: int) -> None:
        """`heads` must divide `dim`."""
        super().__init__()
        self.heads = heads
        self.score = nn.Linear(dim, heads)
        self.value = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """(tokens, dim) and int64 (rows + 1,) → (tokens, dim)."""
        weights = (_SHARPEST * torch.tanh(self.score(tokens) / _SHARPEST)).exp()
        values = self.value(tokens).unflatten(1, (self.heads, -1)) * weights.unsqueeze(2)
        sums = _within(torch.cat([values.flatten(1), weights], dim=1), offsets)
        values, weights = sums.split([tokens.shape[1], self.heads], dim=1)
        return cast(Tensor, (values.unflatten(1, (self.heads, -1)) / weights.unsqueeze(2)).flatten(1))

    def newest(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """What `forward` says at the last token of each row, none of which is empty: (rows, dim)."""
        return self(tokens, offsets).index_select(0, offsets[1:] - 1)


def running_mean(tokens: Tensor, offsets: Tensor) -> Tensor:
    """At each token the mean of it and those before it in its row: (tokens, dim) → (tokens, dim)."""
    return (sums := _within(torch.cat([tokens, torch.ones_like(tokens[:, :1])], dim=1), offsets))[:, :-1] / sums[:, -1:]


def _within(tokens: Tensor, offsets: Tensor) -> Tensor:
    """Running sums from the beginning of each row, in float64 between, so that a row does not depend on those before it."""
    sums = torch.cat([tokens.new_zeros(1, tokens.shape[1], dtype=torch.float64), tokens.double().cumsum(0)])
    before = torch.repeat_interleave(sums.index_select(0, offsets[:-1]), offsets.diff(), dim=0, output_size=len(tokens))
    return (sums[1:] - before).to(tokens.dtype)
