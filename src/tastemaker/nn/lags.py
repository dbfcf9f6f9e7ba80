"""How far apart in time the events of a row are: a bucket for each pair of tokens, in rectangles of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tastemaker.nn.ragged import Packing

_CELLS = 1 << 20
"""Pairs that are looked at in one go: 4 MB of float32 a head, which stays in a cache."""
_LOG_STEP = 0.301

Buckets = Callable[[Tensor], Tensor]
"""int64 (rows, length) µs → int (rows, length, length): the bucket of what lies between the moment of a token and that of another."""


@dataclass(frozen=True, eq=False)
class Rectangle:
    """Some lines of a packing, and how far apart in time their tokens are."""

    rows: int
    length: int
    lags: Tensor | None
    """int (rows, length, length): the bucket of each pair, a line for the later token; None: all are 0"""

    @property
    def slots(self) -> int:
        return self.rows * self.length


def rectangles(packing: Packing, times: Tensor, buckets: Buckets, *, width: int = 0) -> list[Rectangle]:
    """The rectangles of a packing, in parts small enough for all pairs of tokens, with the buckets of `times`, int64 (tokens,) µs.

    `width`: how many cells a token needs at least. Data without times has no lags.
    """
    parts, timed, slot = [], bool(times.any()), 0
    for group in packing.groups:
        most = max(1, _CELLS // (group.length * max(group.length, width)))
        for first in range(0, group.rows, most):
            rows, lags = min(most, group.rows - first), None
            if timed:
                taken = packing.to_slots[slot : slot + rows * group.length]
                lags = buckets(times.index_select(0, taken).view(rows, group.length))
            parts.append(Rectangle(rows, group.length, lags))
            slot += rows * group.length
    return parts


def log_lags(times: Tensor, buckets: int) -> Tensor:
    """int32 buckets ⌊ln(max(1, |seconds|)) / .301⌋, at most `buckets` - 1: one for all within 1.35 s, 57 for a year."""
    seconds = (times.unsqueeze(2) - times.unsqueeze(1)).abs_().float().mul_(1e-6)
    return seconds.clamp_(min=1).log_().div_(_LOG_STEP).clamp_(max=buckets - 1).int()


def personal_lags(times: Tensor, buckets: int) -> Tensor:
    """int64 buckets ⌊lag / unit⌋, at most `buckets` - 1, the unit being the shortest time between two events so far, 0 not counted."""
    gaps = times.diff(dim=1, prepend=times[:, :1])
    unit = torch.where(gaps > 0, gaps, torch.iinfo(torch.int64).max).cummin(dim=1).values
    lags = (times.unsqueeze(2) - times.unsqueeze(1)).double()
    return lags.div_(unit.unsqueeze(2)).clamp_(0, buckets - 1).long()
