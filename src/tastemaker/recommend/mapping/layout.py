"""Layouts in two dimensions: principal components, and from there one that keeps neighbours.

`spread` minimises the loss of PaCMAP (Wang, Huang, Rudin, Shaposhnik 2021, "Understanding how dimension reduction tools work", JMLR 22, eq. 9),
with d = ‖y_i - y_j‖² + 1:

    w_n Σ d / (10 + d)      pairs of neighbours          draw together
    w_m Σ d / (10⁴ + d)     pairs that are rather near   keep the whole in shape, in the first half only
    w_f Σ 1 / (1 + d)       pairs at random              push apart

by Adam, in three phases. Deviations: neighbours are found by cosine and count alike, without a scale of their own; the random pairs are drawn
anew in each step, from shifts of one random order, which needs no lookups; neighbours' pairs are summed from both ends.
Distances between groups that lie far apart mean little, as in all such layouts.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

NEIGHBOURS = 12
_RATHER = 5
"""Pairs that are rather near, of each: the second nearest of six at random."""
_SHIFTS = 8
_FAR = 20.0
"""Random pairs of each that a step stands for."""
_STEPS = (100, 100, 250)
_RATE = 1.0


def components(vectors: np.ndarray) -> np.ndarray:
    """The first two principal components of float32 (n, dim), float32 (n, 2); the largest loading of each is positive."""
    centred = (vectors - vectors.mean(axis=0)).astype(np.float32)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, ::-1][:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    found = centred @ axes.astype(np.float32)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def spread(vectors: np.ndarray, neighbours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A layout of float32 (n, dim) of length 1 that keeps int32 (n, k) neighbours, float32 (n, 2); equal input gives equal output."""
    size = len(vectors)
    start = components(vectors)
    if size < 4:
        return start
    scale = float(start.std()) or 1.0
    y = (start / scale * 0.01 + rng.normal(0, 1e-4, start.shape)).astype(np.float32)
    near, rather = _both_ways(neighbours), _both_ways(_rather_near(vectors, rng))
    mean, square = np.zeros_like(y), np.zeros_like(y)
    for step in range(sum(_STEPS)):
        of_near, of_rather = _weights(step)
        slope = _drawn(y, near, 10.0, of_near)
        if of_rather > 0:
            slope += _drawn(y, rather, 1e4, of_rather)
        slope += _pushed(y, rng)
        mean += (slope - mean) * np.float32(0.1)
        square += (slope * slope - square) * np.float32(0.001)
        rate = _RATE * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        y -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-7))
    return y - y.mean(axis=0)


def _weights(step: int) -> tuple[float, float]:
    first, second, _ = _STEPS
    if step < first:
        share = step / first
        return 2.0, 1000.0 * (1 - share) + 3.0 * share
    return (3.0, 3.0) if step < first + second else (1.0, 0.0)


def _both_ways(pairs: np.ndarray) -> sp.csr_array:
    """A graph of rows and their int (n, k) partners in which each pair is seen from both ends."""
    size, k = pairs.shape
    ones = np.ones(size * k, np.float32)
    one_way = sp.coo_array((ones, (np.repeat(np.arange(size), k), pairs.ravel())), shape=(size, size)).tocsr()
    graph = sp.csr_array(one_way + one_way.T)
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph


def _rather_near(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = len(vectors)
    found = np.empty((size, _RATHER), np.int64)
    rows = np.arange(size)
    for place in range(_RATHER):
        drawn = rng.integers(0, size, (size, 6))
        cosines = np.stack([np.einsum("nd,nd->n", vectors, vectors[drawn[:, one]]) for one in range(6)], axis=1)
        found[:, place] = drawn[rows, np.argsort(-cosines, axis=1, kind="stable")[:, 1]]
    return found


def _drawn(y: np.ndarray, graph: sp.csr_array, softness: float, weight: float) -> np.ndarray:
    """The slope of w Σ d / (softness + d) over the pairs of a graph, float32 (n, 2)."""
    owners = np.repeat(np.arange(len(y), dtype=np.int32), np.diff(graph.indptr))
    apart = y[owners]
    apart -= y[graph.indices]
    d = np.einsum("nd,nd->n", apart, apart)
    d += np.float32(1 + softness)
    force = graph.data * np.float32(2 * softness * weight) / (d * d)
    moved = sp.csr_array((force, graph.indices, graph.indptr), shape=graph.shape)
    sums = np.bincount(owners, force, len(y)).astype(np.float32)
    return y * sums[:, None] - moved @ y


def _pushed(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The slope of Σ 1 / (1 + d) over pairs at random, seen from both ends, float32 (n, 2)."""
    size = len(y)
    order = rng.permutation(size)
    shuffled = y[order]
    total = np.zeros_like(shuffled)
    shifts = rng.choice(np.arange(1, size), min(_SHIFTS, size - 1), replace=False)
    for shift in shifts.tolist():
        apart = shuffled - np.roll(shuffled, shift, axis=0)
        d = np.einsum("nd,nd->n", apart, apart)
        d += np.float32(2)
        apart *= (np.float32(-2 * _FAR / len(shifts)) / (d * d))[:, None]
        total += apart
        total -= np.roll(apart, -shift, axis=0)
    found = np.empty_like(total)
    found[order] = total
    return found
