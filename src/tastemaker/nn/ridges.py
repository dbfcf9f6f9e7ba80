"""Ridge regressions of many rows at once, each of ones and zeros on the vectors of all columns: the half step of ALS."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

_BLOCK = 1 << 25
"""Float32 numbers of a block of systems."""


def ridges(
    confidence: sp.csr_matrix, table: Tensor, gram: Tensor, penalty: Tensor | None = None, right: Tensor | None = None
) -> Tensor:
    """For each row r the x that minimises Σ_j c_rj (p_rj - x·y_j)² + xᵀ(gram - Σ_j y_j y_jᵀ)x + penalty_r ‖x‖².

    Hu, Koren & Volinsky 2008, eq. 4: p = 1 where `confidence` has a cell and 0 elsewhere, where c is 1. So a row costs only its cells.

    Args:
        confidence: c of the cells, (rows, columns).
        table: float32 (columns, d): the vectors y.
        gram: float32 (d, d): Σ y yᵀ over all columns, and what is added to every row's penalty.
        penalty: float32 (rows,).
        right: float32 (rows, d): right sides in place of Σ c y.

    Returns:
        float32 (rows, d); 0 for rows without a cell.
    """
    dim, device = table.shape[1], table.device
    found = table.new_zeros(confidence.shape[0], dim)
    lengths = np.diff(confidence.indptr)
    order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
    ascending, start = lengths[order], 0
    while start < len(order):  # blocks of rows of like length
        alike = int(np.searchsorted(ascending, 2 * ascending[start] + 8, side="right"))
        end = min(alike, start + max(_BLOCK // (dim * (dim + 2 * int(ascending[start]))), 1))
        rows, place = order[start:end], np.arange(ascending[end - 1])
        held = place < ascending[start:end, None]
        cells = np.where(held, confidence.indptr[rows, None] + place, 0)
        weights = torch.from_numpy(np.where(held, confidence.data[cells], 0).astype(np.float32)).to(device)
        vectors = table[torch.from_numpy(confidence.indices[cells].astype(np.int64)).to(device)]
        where = torch.from_numpy(rows).to(device)
        extra = torch.where(weights > 0, weights - 1, 0)
        systems = torch.baddbmm(gram, (extra[:, :, None] * vectors).mT, vectors)
        if penalty is not None:
            systems.diagonal(dim1=1, dim2=2).add_(penalty[where, None])
        goals = (weights[:, :, None] * vectors).sum(1) if right is None else right[where]
        found[where] = torch.cholesky_solve(goals[:, :, None], torch.linalg.cholesky(systems))[:, :, 0]
        start = end
    return found
