"""How much of the neighbourhoods a layout keeps, on a sample of points."""

from __future__ import annotations

import numpy as np

SAMPLE = 500
_BLOCK = 50


def kept(
    vectors: np.ndarray, layout: np.ndarray, k: int, rng: np.random.Generator, sample: int = SAMPLE
) -> tuple[float, float]:
    """Recall and trustworthiness of the `k` nearest points of a layout, means over a sample of points.

    Recall is the share of the k nearest by cosine, of float32 (n, dim) of length 1, that are among the k nearest in the layout, float32 (n, 2).
    Trustworthiness (Venna & Kaski 2001) is 1 - 2 / (n k (2n - 3k - 1)) Σ_i Σ_j (r(i, j) - k) over those j that only the layout has near i,
    r the rank by cosine: 1 where the layout shows no neighbour that is none, and about 0.5 for a layout at random.
    """
    size = len(vectors)
    k = min(k, (size - 1) // 2)
    if k < 1:
        return 1.0, 1.0
    rows = np.sort(rng.choice(size, min(sample, size), replace=False))
    common, penalty = 0, 0.0
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        own = np.arange(len(some))
        cosines = vectors[some] @ vectors.T
        cosines[own, some] = -np.inf
        true = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        apart = ((layout[some][:, None, :] - layout[None, :, :]) ** 2).sum(axis=2)
        apart[own, some] = np.inf
        shown = np.argpartition(apart, k - 1, axis=1)[:, :k]
        for row in own:
            common += len(np.intersect1d(true[row], shown[row]))
            for other in np.setdiff1d(shown[row], true[row]):
                penalty += max(0, int((cosines[row] > cosines[row, other]).sum()) + 1 - k)
    return common / (k * len(rows)), 1 - penalty * 2 / (len(rows) * k * (2 * size - 3 * k - 1))
