"""Skip-gram with negative sampling: what stands near the same things gets near vectors, be they words in texts or items in histories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastemaker.encoders.base import Progress

_BLOCK = 200_000  # tokens whose pairs are held at once
_POOL = 128  # negatives that all pairs of a step share
_RATE = 0.1


@dataclass(frozen=True)
class SkipGram:
    """How vectors of tokens are learned from sequences of them (Mikolov et al. 2013, "Distributed representations of words and phrases").

    For a token c, another o of at most `window` steps from it and `negatives` drawn by count^0.75 the loss is
    -log σ(c·o) - Σ_n log σ(-c·n). As in word2vec each token's window is drawn from 1 … `window`, and a token of share f stays with
    probability √(t/f) + t/f, t = `subsample`. Deviations: t is no less than the share of an average token, so that few kinds of tokens
    are not skipped for being few; pairs go in batches, one pool of negatives serves a batch, each counted so often that
    together they weigh what `negatives` a pair would, and steps are Adagrad's, with one rate a row.
    """

    dim: int
    window: int
    negatives: int
    epochs: int
    subsample: float
    seed: int
    ordered: bool = True
    """False: sequences are sets, shuffled anew each epoch"""

    def learn(self, tokens: np.ndarray, offsets: np.ndarray, size: int, progress: Progress | None = None) -> np.ndarray:
        """float32 (size, dim): a row for each of the tokens 0 … size - 1.

        Args:
            tokens: int64, all sequences one after the other.
            offsets: int64 (sequences + 1,), where each begins.
            size: number of distinct tokens.
            progress: told of epochs.
        """
        rng = np.random.default_rng(self.seed)
        draw = torch.Generator().manual_seed(self.seed)
        inner = (torch.rand(size, self.dim, generator=draw) - 0.5) / self.dim
        outer = torch.zeros(size, self.dim)
        gathered = torch.zeros(size, 1), torch.zeros(size, 1)
        counts = np.bincount(tokens, minlength=size).astype(np.float64)
        shares = counts / max(1.0, counts.sum())
        bound = max(self.subsample, 1 / max(1, size)) if self.subsample else 1.0
        often = np.maximum(shares, 1e-12) / bound
        kept = np.minimum(1.0, np.sqrt(1 / often) + 1 / often)
        noise = torch.from_numpy(np.cumsum(counts**0.75))
        expected = max(1, len(tokens)) * (self.window + 1)
        batch = int(min(8192, max(256, expected // 100)))
        blocks = max(1, -(-len(tokens) // _BLOCK))
        for epoch in range(self.epochs):
            for block, (centres, others) in enumerate(self._pairs(tokens, offsets, kept, rng)):
                done = (epoch + block / blocks) / self.epochs
                rate = _RATE * max(0.05, 1 - done)
                for start in range(0, len(centres), batch):
                    picked = torch.rand(_POOL, generator=draw, dtype=torch.float64) * noise[-1]
                    pool = torch.searchsorted(noise, picked, right=True).clamp_(max=size - 1)
                    part = slice(start, start + batch)
                    self._step(inner, outer, gathered, centres[part], others[part], pool, rate)
            if progress:
                progress(epoch + 1, self.epochs)
        return inner.numpy()

    def _pairs(
        self, tokens: np.ndarray, offsets: np.ndarray, kept: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(centre, other) pairs of an epoch, shuffled, some blocks of sequences at a time."""
        order = rng.permutation(len(offsets) - 1)
        lengths = np.diff(offsets)[order]
        block = (np.cumsum(lengths) - 1) // _BLOCK if len(lengths) else lengths
        for part in np.split(order, np.flatnonzero(np.diff(block)) + 1):
            sizes = np.diff(offsets)[part]
            row = np.repeat(np.arange(len(part)), sizes)
            within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            found = tokens[np.repeat(offsets[part], sizes) + within]
            stays = rng.random(len(found)) < kept[found]
            row, found = row[stays], found[stays]
            if not self.ordered:
                shuffled = np.lexsort((rng.random(len(row)), row))
                found = found[shuffled]
            reach = rng.integers(1, self.window + 1, len(found))
            centres, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
            for step in range(1, min(self.window, len(found) - 1) + 1):
                together = row[step:] == row[:-step]
                left, right = together & (reach[:-step] >= step), together & (reach[step:] >= step)
                centres += [found[:-step][left], found[step:][right]]
                others += [found[step:][left], found[:-step][right]]
            centre, other = np.concatenate(centres), np.concatenate(others)
            mixed = rng.permutation(len(centre))
            yield torch.from_numpy(centre[mixed]), torch.from_numpy(other[mixed])

    def _step(
        self,
        inner: Tensor,
        outer: Tensor,
        gathered: tuple[Tensor, Tensor],
        centres: Tensor,
        others: Tensor,
        pool: Tensor,
        rate: float,
    ) -> None:
        c, o, n = inner[centres], outer[others], outer[pool]
        pull = torch.sigmoid(-(c * o).sum(1, keepdim=True))
        push = torch.sigmoid(c @ n.T) * (self.negatives / len(pool))
        push.masked_fill_(others.unsqueeze(1) == pool, 0.0)
        _descend(inner, gathered[0], centres, push @ n - pull * o, rate)
        _descend(outer, gathered[1], torch.cat([others, pool]), torch.cat([pull * -c, push.T @ c]), rate)


def _descend(table: Tensor, gathered: Tensor, rows: Tensor, slopes: Tensor, rate: float) -> None:
    """A step of Adagrad (Duchi et al. 2011) on the rows that occur, with the mean square of a row's gradient."""
    distinct, places = rows.unique(return_inverse=True)
    slope = slopes.new_zeros(len(distinct), table.shape[1]).index_add_(0, places, slopes)
    gathered[distinct] += slope.square().mean(1, keepdim=True)
    table[distinct] -= rate * slope / (gathered[distinct].sqrt() + 1e-8)
