"""Truncated singular value decompositions that are the same on every run."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds


def right_singular_vectors(cells: sp.csr_matrix, most: int) -> np.ndarray:
    """float32 (columns, up to `most`): those of the largest singular values, largest first, none of a value of 0.

    The largest weight of each is positive.
    """
    least = min(cells.shape)
    if least == 0:
        return np.zeros((cells.shape[1], 0), np.float32)
    if most < least // 2:
        start = np.random.default_rng(0).standard_normal(least)
        _, values, rows = svds(cells.astype(np.float64), k=most, v0=start, solver="arpack")
        order = np.argsort(-values, kind="stable")
        values, rows = values[order], rows[order]
    else:
        _, values, rows = np.linalg.svd(cells.toarray().astype(np.float64), full_matrices=False)
    rows = rows[:most][values[:most] > 1e-6 * values[0]]
    peaks = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
    return np.ascontiguousarray((rows * np.sign(peaks)[:, None]).T.astype(np.float32))
