"""Negative sampling: which items a positive is compared with, and how likely each was to be drawn.

`[train] hard` keeps the best-scored of each few drawn (dynamic negative sampling, Zhang et al. 2013): uniform negatives soon teach nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST


@dataclass(frozen=True, eq=False)
class Negatives:
    """Item codes, shared by all rows, (n,), or drawn for each row, (batch, n); `log_q` of the same shape: log of the expected count."""

    codes: Tensor
    log_q: Tensor


class Sampler(Protocol):
    """Draws negatives for a batch of positive codes."""

    def __call__(self, positives: Tensor, rows: int, count: int, generator: torch.Generator) -> Negatives:
        """`rows` = 0 draws one sample of `count` codes for the whole batch; else a sample for each of `rows`."""


class Popularity:
    """Draws items with probability ∝ count^α (Mikolov et al. 2013 for α = 0.75); α = 0 is uniform over all items."""

    def __init__(self, counts: np.ndarray, alpha: float, only_seen: bool = False) -> None:
        """`counts`: training interactions of each item code, (num_items,); with `only_seen` items without any are never drawn."""
        powers = np.maximum(counts[FIRST:], 1.0 if alpha else 0.0).astype(np.float64) ** alpha
        if only_seen:
            powers[counts[FIRST:] == 0] = 0.0
        self.cumulative = torch.from_numpy(np.cumsum(powers / powers.sum())).float()
        self.last = int(np.flatnonzero(powers)[-1])
        with np.errstate(divide="ignore"):
            self.log_p = torch.from_numpy(np.concatenate([np.full(FIRST, -np.inf), np.log(powers / powers.sum())])).float()

    def __call__(self, positives: Tensor, rows: int, count: int, generator: torch.Generator) -> Negatives:
        shape = (rows, count) if rows else (count,)
        draw = torch.rand(shape, generator=generator)
        # the first place past the draw, so that an item of probability 0 is never it
        codes = torch.searchsorted(self.cumulative, draw, right=True).clamp_max(self.last) + FIRST
        return Negatives(codes, self.log_p[codes] + np.log(count))


class InBatch:
    """The other positives of the batch: free, but popular items come as often as they are popular, which log_q corrects (Yi et al. 2019)."""

    def __init__(self, counts: np.ndarray) -> None:
        with np.errstate(divide="ignore"):
            self.log_p = torch.from_numpy(np.log(counts / max(1, counts.sum()))).float()

    def __call__(self, positives: Tensor, rows: int, count: int, generator: torch.Generator) -> Negatives:
        return Negatives(positives, self.log_p[positives] + np.log(len(positives)))


class Mixed:
    """Half in-batch, half uniform (Yang et al. 2020): covers items that are rarely a positive."""

    def __init__(self, counts: np.ndarray, only_seen: bool = False) -> None:
        self.in_batch, self.uniform = InBatch(counts), Popularity(counts, 0.0, only_seen)

    def __call__(self, positives: Tensor, rows: int, count: int, generator: torch.Generator) -> Negatives:
        taken = torch.randint(len(positives), (max(1, count // 2),), generator=generator)
        extra = self.uniform(positives, 0, max(1, count - len(taken)), generator)
        codes = torch.cat([positives[taken], extra.codes])
        expected = self.in_batch.log_p[codes].exp() * len(taken) + self.uniform.log_p[codes].exp() * len(extra.codes)
        return Negatives(codes, expected.log())


NAMES = ("uniform", "popularity", "in_batch", "mixed")


def sampler(name: str, counts: np.ndarray, alpha: float, *, only_seen: bool = False) -> Sampler:
    """The sampler of a `[train] sampler` name; `counts` are training interactions per item code.

    With `only_seen` an item without training interactions is never drawn.
    """
    if name == "in_batch":
        return InBatch(counts)
    if name == "mixed":
        return Mixed(counts, only_seen)
    return Popularity(counts, alpha if name == "popularity" else 0.0, only_seen)
