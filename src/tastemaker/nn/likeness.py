"""Likeness of items by vectors of what they are, several modalities at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from tastemaker.data.item_contents import ItemContents
from tastemaker.nn.sparse import keep_best

_CELLS = 1 << 24
"""Cosines held at a time."""


def units(contents: ItemContents) -> list[np.ndarray]:
    """Of each modality unit vectors from the mean of those there are, zeros where there is none: float32 (items, dim).

    Vectors are taken from their mean first, as they crowd around it.
    """
    found = []
    for name, values in contents.values.items():
        present = np.asarray(contents.present[name], bool)
        centred = np.where(present[:, None], values - values[present].mean(axis=0) if present.any() else values, 0)
        found.append((centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)).astype(np.float32))
    return found


def kernel(contents: ItemContents, weights: Mapping[str, float]) -> np.ndarray:
    """Σ_m w_m cos_m, float32 (items, items): positive semi-definite, as what is missing is a zero vector; w is 1 where none is named."""
    total: np.ndarray | None = None
    for name, rows in zip(contents.values, units(contents), strict=True):
        part = (rows @ rows.T) * np.float32(weights.get(name, 1.0))
        total = part if total is None else total + part
    assert total is not None
    return total


def kernel_of_terms(rows: sp.csr_matrix) -> np.ndarray:
    """Cosines of weighed rows of terms: float32 (items, items)."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scaled = sp.diags(1 / np.where(lengths > 0, lengths, 1)) @ rows
    return np.asarray((scaled @ scaled.T).toarray(), np.float32)


def alike(contents: ItemContents, neighbours: int) -> sp.csr_matrix:
    """The `neighbours` items most like each: sparse float32 (items, items), by the mean cosine over the modalities that both have.

    What is less than nothing alike is not alike; ties go to the lower code.
    """
    rows_of = units(contents)
    there = np.stack([np.asarray(one, np.float32) for one in contents.present.values()], axis=1)
    size, blocks = len(there), []
    for start in range(0, size, step := max(1, _CELLS // max(1, size))):
        rows = slice(start, start + step)
        cosines = sum(one[rows] @ one.T for one in rows_of) / np.maximum(there[rows] @ there.T, 1)
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = 0
        blocks.append(_best(np.maximum(cosines, 0), neighbours))
    return sp.vstack(blocks, format="csr")


def _best(cosines: np.ndarray, neighbours: int) -> sp.csr_matrix:
    if neighbours < cosines.shape[1]:  # a first cut, generous towards ties, so that few cells are sorted
        least = np.partition(cosines, -neighbours, axis=1)[:, -neighbours]
        cosines = np.where(cosines >= least[:, None], cosines, 0)
    return keep_best(sp.csr_matrix(cosines, dtype=np.float32), neighbours)
