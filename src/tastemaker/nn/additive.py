"""Additive attention over what came before, for every prefix of ragged rows at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tastemaker.nn.ragged import Packing


class AdditiveAttention(nn.Module):
    """What token t draws from the tokens j up to itself: Σ_j v·σ(Q x_t + K x_j) x_j (Li et al. 2017, eq. 7 and 8).

    The form is that of Bahdanau et al. (2015), without the softmax: weights may have any sign and sum.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.weigh = nn.Linear(dim, 1, bias=False)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim). Memory: the squared length of each row, times dim."""
        slots = packing.spread(torch.cat([self.query(tokens), self.key(tokens), tokens], 1))
        outputs = []
        for group, block in zip(packing.groups, slots.split([group.slots for group in packing.groups]), strict=True):
            query, key, value = block.view(group.rows, group.length, 3, -1).unbind(2)
            weights = self.weigh(torch.sigmoid(query.unsqueeze(2) + key.unsqueeze(1))).squeeze(-1)
            outputs.append((weights.tril() @ value).view(group.slots, -1))
        return packing.collect(torch.cat(outputs)) if outputs else tokens

    def newest(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """What `forward` says at the last token of each row, none of which is empty, for less: (tokens, dim) → (rows, dim)."""
        last = tokens.index_select(0, offsets[1:] - 1)
        rows = torch.repeat_interleave(offsets.diff(), output_size=len(tokens))
        weights = self.weigh(torch.sigmoid(self.query(last).index_select(0, rows) + self.key(tokens)))
        return torch.zeros_like(last).index_add(0, rows, weights * tokens)
