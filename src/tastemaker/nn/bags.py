"""Histories as bags of items: the first layer of an autoencoder over the catalogue, without a dense users × items matrix."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.data.vocabulary import FIRST


class HistoryBag(nn.Module):
    """A linear layer on the L2-normalised 0/1 vector of each history: the sum of its items' rows / √(items), plus a bias.

    In training whole items are left out with probability `dropout` and the rest scaled by 1 / (1 - dropout), after normalisation as
    Liang et al. 2018 do. PAD and UNKNOWN are no items; an item counts once however often it is there. An empty history is the bias.
    """

    def __init__(self, num_items: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_items, dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.dropout = dropout
        # Inputs are of length 1, so outputs begin with the variance of the weights, times 1 / (1 - dropout).
        nn.init.normal_(self.weight, std=(2 / (num_items + dim)) ** 0.5)

    def forward(self, items: Tensor, rows: Tensor, batch: int, *, drop: bool = True) -> Tensor:
        """Float32 (batch, dim) of item codes and their batch rows, both int64 (events,); `drop` = False leaves nothing out."""
        known = items >= FIRST
        cells = torch.unique(rows[known] * len(self.weight) + items[known])  # ascending: rows in order, each item once
        rows, items = cells // len(self.weight), cells % len(self.weight)
        counts = torch.bincount(rows, minlength=batch)
        shares = counts.clamp_min(1).float().rsqrt().index_select(0, rows)
        if self.training and drop and self.dropout:
            shares = F.dropout(shares, self.dropout)
        offsets = F.pad(counts.cumsum(0), (1, 0))
        bag = F.embedding_bag(items, self.weight, offsets, mode="sum", per_sample_weights=shares, include_last_offset=True)
        return bag + self.bias
