"""The nearest vectors of each vector by cosine: exact for some thousands, within the closest groups for more."""

from __future__ import annotations

import numpy as np

EXACT = 20_000
"""Vectors up to which all are compared with all."""
_PROBES = 12
"""Groups that are looked through for the vectors of a group."""
_ROUNDS = 8
_CELLS = 1 << 23
"""Cosines held at a time: 32 MB."""


def nearest(vectors: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of each of float32 (n, dim) of length 1: int32 (n, k), the nearest first, and groups, int32 (n,).

    Beyond `EXACT` vectors they are parted into √n groups (k-means on the sphere), and only the 12 closest groups of each are looked through: nine
    of ten true neighbours are found. With fewer than `k` others the last ones come again.
    """
    size = len(vectors)
    if size <= EXACT:
        groups = np.zeros(size, np.int32)
        every = np.arange(size)
        return _within(vectors, every, every, k), groups
    centres, groups = _grouped(vectors, max(2, int(np.sqrt(size))), rng)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(len(centres) + 1))
    likeness = centres @ centres.T
    found = np.empty((size, k), np.int32)
    for group in range(len(centres)):
        members = order[starts[group] : starts[group + 1]]
        if len(members):
            close = np.argsort(-likeness[group], kind="stable")[:_PROBES]
            among = np.concatenate([order[starts[one] : starts[one + 1]] for one in close])
            if len(among) <= k:
                among = order
            found[members] = _within(vectors, members, among, k)
    return found, groups


def _within(vectors: np.ndarray, rows: np.ndarray, among: np.ndarray, k: int) -> np.ndarray:
    """The nearest of some rows among others, int32 (rows, k); no row is its own neighbour."""
    found = np.empty((len(rows), k), np.int32)
    others, kept = vectors[among], min(k, len(among) - 1)
    if kept < 1:
        found[:] = rows[:, None]
        return found
    step = max(1, _CELLS // len(among))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        cosines = vectors[some] @ others.T
        cosines[some[:, None] == among[None, :]] = -np.inf
        part = (
            np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
            if kept < len(among)
            else np.tile(np.arange(kept), (len(some), 1))
        )
        part.sort(axis=1)  # equal cosines: the lower place first
        order = np.argsort(-np.take_along_axis(cosines, part, axis=1), axis=1, kind="stable")
        best = among[np.take_along_axis(part, order, axis=1)]
        found[start : start + step, :kept] = best
        found[start : start + step, kept:] = best[:, -1:]
    return found


def _grouped(vectors: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centres of length 1 and the group of each vector."""
    sample = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), 40 * count), replace=False))]
    centres = sample[rng.choice(len(sample), count, replace=False)]
    for _ in range(_ROUNDS):
        mine = _closest(sample, centres)
        sums = np.zeros_like(centres)
        np.add.at(sums, mine, sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    return centres, _closest(vectors, centres)


def _closest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    step = max(1, _CELLS // len(centres))
    parts = [np.argmax(vectors[start : start + step] @ centres.T, axis=1) for start in range(0, len(vectors), step)]
    return np.concatenate(parts).astype(np.int32)
