"""Likeness of items by vectors of what they are, several modalities at once."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tastemaker.data.item_contents import ItemContents
from tastemaker.nn.sparse import keep_best

_CELLS = 1 << 24
"""Cosines held at a time."""


def alike(contents: ItemContents, neighbours: int) -> sp.csr_matrix:
    """The `neighbours` items most like each: sparse float32 (items, items), by the mean cosine over the modalities that both have.

    Vectors are taken from their mean first, as they crowd around it. What is less than nothing alike is not alike; ties go to the lower code.
    """
    units = []
    for name, values in contents.values.items():
        present = np.asarray(contents.present[name], bool)
        centred = np.where(present[:, None], values - values[present].mean(axis=0) if present.any() else values, 0)
        units.append((centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)).astype(np.float32))
    there = np.stack([np.asarray(one, np.float32) for one in contents.present.values()], axis=1)
    size, blocks = len(there), []
    for start in range(0, size, step := max(1, _CELLS // max(1, size))):
        rows = slice(start, start + step)
        cosines = sum(one[rows] @ one.T for one in units) / np.maximum(there[rows] @ there.T, 1)
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = 0
        blocks.append(_best(np.maximum(cosines, 0), neighbours))
    return sp.vstack(blocks, format="csr")


def _best(cosines: np.ndarray, neighbours: int) -> sp.csr_matrix:
    if neighbours < cosines.shape[1]:  # a first cut, generous towards ties, so that few cells are sorted
        least = np.partition(cosines, -neighbours, axis=1)[:, -neighbours]
        cosines = np.where(cosines >= least[:, None], cosines, 0)
    return keep_best(sp.csr_matrix(cosines, dtype=np.float32), neighbours)
