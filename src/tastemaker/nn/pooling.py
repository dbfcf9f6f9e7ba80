"""Means over the items of a history: of all of them, or at each item of all the others."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_of_all(vectors: Tensor, weights: Tensor, rows: Tensor, count: int) -> Tensor:
    """Weighted mean of each row's vectors: (events, dim) → (count, dim); zero for rows without weight.

    Args:
        vectors: float (events, dim).
        weights: float (events,), not negative.
        rows: int64 (events,), the row of each event.
        count: number of rows.
    """
    sums, totals = _sums(vectors, weights, rows, count)
    return sums / totals.clamp_min(1e-12).unsqueeze(1)


def mean_of_others(vectors: Tensor, weights: Tensor, shares: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """At each event the weighted mean of the other items of its row, (events, dim), and whether there is another, bool (events,).

    An item that occurs several times in a row is one item: an event knows none of its copies.

    Args:
        vectors: float (events, dim), equal for copies.
        weights: float (events,), the weight of the item as a whole, equal for copies; all of a row within a few powers of e, since
            an item's own part is taken out of the sum.
        shares: float (events,), which sum to 1 over the copies of an item in a row (`Query.shares`).
        rows: int64 (events,), the row of each event.
        count: number of rows.
    """
    sums, totals = _sums(vectors, weights * shares, rows, count)
    items = shares.new_zeros(count).index_add_(0, rows, shares)
    others = items.index_select(0, rows) > 1.5
    left = sums.index_select(0, rows) - vectors * weights.unsqueeze(1)
    rest = torch.where(others, totals.index_select(0, rows) - weights, 1.0)
    return torch.where(others.unsqueeze(1), left / rest.unsqueeze(1), 0.0), others


def _sums(vectors: Tensor, weights: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    sums = vectors.new_zeros(count, vectors.shape[1]).index_add(0, rows, vectors * weights.unsqueeze(1))
    return sums, vectors.new_zeros(count).index_add(0, rows, weights)
