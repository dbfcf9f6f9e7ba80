"""Sparse regressions of each item on few others, many at a time, where a dense items × items matrix does not fit.

With G = XᵀX, the weights b_j of the column of item j minimise

    ½ ‖X_j - X b_j‖² + ½ Σ_i λ_i b_ij² + α Σ_i |b_ij|        b_jj = 0, at most k of b_j not 0 (and, for a lasso, none below 0)

Which k items may speak for j (the *support*) is found by hard thresholding pursuit (Foucart 2011, "Hard thresholding pursuit: an
algorithm for compressive sensing"): after a Newton step along each coordinate by itself, the k that would lower the cost most are kept,
and the k × k system of those alone is solved; then again from there. The first round sees no weights yet and takes the items that best predict j
alone. Nothing is ever larger than the nonzero cells of G, and no Python loop runs over items: systems of like size are solved together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastemaker.nn.ragged import like_lengths
from tastemaker.nn.sparse import keep_best

_CELLS = 1 << 24
"""Numbers of a block of systems, and multiplications of a block of sparse products: bounds both to a few hundred MB."""


@dataclass(frozen=True, eq=False)
class Systems:
    """The regressions of n items on k others each; where an item has fewer, `held` is False, and `gram` and `right` are 0."""

    gram: Tensor
    """float32 (n, k, k): G of the support, λ on its diagonal included (1 where not held)"""
    right: Tensor
    """float32 (n, k): G of the support and the item"""
    held: Tensor
    """bool (n, k)"""


Solver = Callable[[Systems], Tensor]
"""The weights (n, k) of each system."""


def sparse_regression(
    cells: sp.csr_matrix,
    penalty: np.ndarray,
    solver: Solver,
    *,
    neighbours: int,
    rounds: int,
    l1: float = 0.0,
    positive: bool = False,
) -> sp.csr_matrix:
    """Weights of the regression of every item on few others: row j holds b_j, float32 (items, items), columns ascending.

    Args:
        cells: X, sparse float32 (users, items).
        penalty: λ, float32 (items,), all above 0.
        solver: `ridge`, or `lasso` with its settings.
        neighbours: k.
        rounds: how often the support is chosen.
        l1: α, for the choice of the support; the solver knows its own.
        positive: whether items that would get a weight below 0 are left out of the support.
    """
    gram = (cells.T.tocsr() @ cells).tocsr()
    gram.sort_indices()
    norms = gram.diagonal().astype(np.float32)
    gram.data[gram.indices == np.repeat(np.arange(len(norms)), np.diff(gram.indptr))] = 0
    curvature = np.maximum(norms + penalty, np.finfo(np.float32).tiny)
    weights = sp.csr_matrix(gram.shape, dtype=np.float32)
    for _ in range(rounds):
        support = _support(gram, weights, curvature, neighbours, l1, positive)
        weights = _solved(gram, support, curvature, solver)
    return weights


def ridge(systems: Systems) -> Tensor:
    """The weights of least cost without a lasso, by Cholesky factors: exact."""
    return torch.cholesky_solve(systems.right.unsqueeze(2), torch.linalg.cholesky(systems.gram)).squeeze(2)


def lasso(systems: Systems, *, l1: float, tolerance: float = 1e-4, sweeps: int = 100) -> Tensor:
    """The weights of least cost among those not below 0, by coordinate descent (Friedman, Hastie & Tibshirani 2010), all systems abreast.

    Ends when no weight of a sweep moves by more than `tolerance`, or after so many `sweeps`.
    """
    gram = systems.gram.transpose(0, 1).contiguous()  # (k, n, k): a coordinate's slopes of all systems lie together
    diagonal = systems.gram.diagonal(dim1=1, dim2=2).T.contiguous()
    slopes = (systems.right - l1).masked_fill(~systems.held, -1.0)  # -gradient at 0
    weights = torch.zeros_like(diagonal)
    for _ in range(sweeps):
        largest = 0.0
        for place, (rows, curve) in enumerate(zip(gram, diagonal, strict=True)):
            moved = (slopes[:, place] / curve).clamp_min_(-weights[place])
            weights[place] += moved
            slopes.addcmul_(rows, moved.unsqueeze(1), value=-1)
            largest = max(largest, float(moved.abs().max()))
        if largest <= tolerance:
            break
    return weights.T


def _support(
    gram: sp.csr_matrix, weights: sp.csr_matrix, curvature: np.ndarray, count: int, l1: float, positive: bool
) -> sp.csr_matrix:
    """Row j: the `count` items that have the most to say about j given the weights of the others; ties to the lower code."""
    lengths, scale, blocks, start = np.diff(gram.indptr), np.sqrt(curvature), [], 0
    ends = np.cumsum(lengths + _row_sums(weights, lengths))
    while start < len(scale):
        end = max(int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _CELLS, side="right")), start + 1)
        # Where one coordinate is best while all others stay is what they leave unexplained, over its curvature.
        left = gram[start:end]
        if weights.nnz:
            left = (left - weights[start:end] @ gram).tocsr()
        itself = np.repeat(np.arange(start, end), np.diff(left.indptr)) == left.indices
        gain = left.data if positive else np.abs(left.data)
        gain = np.maximum(gain - np.float32(l1), 0) / scale[left.indices]
        gain[itself] = 0
        left.data = gain.astype(np.float32, copy=False)
        left.eliminate_zeros()
        blocks.append(keep_best(left, count))
        start = end
    return sp.vstack(blocks, format="csr")


def _solved(gram: sp.csr_matrix, support: sp.csr_matrix, curvature: np.ndarray, solver: Solver) -> sp.csr_matrix:
    weights = support.copy()
    for items, places, held in like_lengths(support.indptr, _CELLS):
        others = support.indices[places]
        size = places.shape[1]
        first, second = np.tril_indices(size, -1)
        systems = np.zeros((len(items), size, size), np.float32)
        cells = _at(gram, others[:, first], others[:, second]) * (held[:, first] & held[:, second])
        systems[:, first, second] = systems[:, second, first] = cells
        systems[:, np.arange(size), np.arange(size)] = np.where(held, curvature[others], 1)
        right = _at(gram, np.broadcast_to(items[:, None], others.shape), others) * held
        found = solver(Systems(torch.from_numpy(systems), torch.from_numpy(right), torch.from_numpy(held))).numpy()
        weights.data[places[held]] = found[held]
    weights.eliminate_zeros()
    return weights


def _at(matrix: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32, the shape of rows and columns: the cells there."""
    if not rows.size:  # scipy answers no places with a sparse matrix
        return np.zeros(rows.shape, np.float32)
    return np.asarray(matrix[rows.ravel(), columns.ravel()], dtype=np.float32).reshape(rows.shape)


def _row_sums(matrix: sp.csr_matrix, values: np.ndarray) -> np.ndarray:
    """int64 (rows,): the sum of the values of each row's columns."""
    return np.diff(np.concatenate([[0], np.cumsum(values[matrix.indices], dtype=np.int64)])[matrix.indptr])
