"""Which rows of a sparse matrix are alike: event weights, similarities, and the k best neighbours in bounded memory.

A *row* is what is compared (an item by its users, or a user by their items), a *term* is a column. With x and y two weighed rows:

| similarity | formula | source |
|---|---|---|
| cosine | x·y / (‖x‖^2a ‖y‖^2(1-a) + shrinkage) | Sarwar et al. 2001; a ≠ ½: Aiolli 2013, "Efficient top-n recommendation", §3.2 |
| jaccard | x·y / (‖x‖² + ‖y‖² - x·y + shrinkage) | Tanimoto's form, which is Jaccard's where all weights are 1 |
| dot | x·y | plain co-occurrence, as BM25 was made for |

| weighting | a cell x of a row with sum n, whose term occurs in t of N rows, becomes |
|---|---|
| none | x |
| tfidf | √x · log(N / t) |
| bm25 | x (k + 1) / (x + k (1 - b + b n / mean n)) · log(N / t); k = 1.2, b = 0.75 (Robertson & Zaragoza 2009) |
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp

from tastemaker.nn.sparse import keep_best

Weighting = Literal["none", "tfidf", "bm25"]
Similarity = Literal["cosine", "jaccard", "dot"]

_SATURATION, _LENGTH_SHARE = 1.2, 0.75
_BLOCK = 1 << 24  # multiplications of a block: bounds its cells, hence its memory, to a few hundred MB


def term_weights(matrix: sp.csr_matrix, weighting: Weighting) -> np.ndarray:
    """float32 (terms,): the factor each term's cells get, from all the rows of `matrix`; 0 for terms that never occur."""
    occurrences = np.bincount(matrix.indices, minlength=matrix.shape[1])
    if weighting == "none":
        return np.ones(matrix.shape[1], np.float32)
    rows = max(int((np.diff(matrix.indptr) > 0).sum()), 1)
    # A term of every row would weigh nothing; half a row more keeps it in play where there are few rows.
    rarity = np.log((rows + 0.5) / np.maximum(occurrences, 1))
    return np.where(occurrences > 0, rarity, 0).astype(np.float32)


def weigh(matrix: sp.csr_matrix, terms: np.ndarray, weighting: Weighting, mean_length: float) -> sp.csr_matrix:
    """The rows with weighed cells; `terms` from `term_weights`, `mean_length` the mean sum of a row that has any."""
    lengths = np.diff(matrix.indptr)
    data = matrix.data.astype(np.float32)
    if weighting == "tfidf":
        data = np.sqrt(data)
    elif weighting == "bm25":
        sums = np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()
        norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * sums / max(mean_length, 1e-12))
        data = data * (_SATURATION + 1) / (data + np.repeat(norm, lengths))
    data = (data * terms[matrix.indices]).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def mean_length(matrix: sp.csr_matrix) -> float:
    """The mean sum of the rows that have cells; 0 where none has."""
    rows = int((np.diff(matrix.indptr) > 0).sum())
    return float(matrix.data.sum(dtype=np.float64)) / rows if rows else 0.0


def squared_norms(matrix: sp.csr_matrix) -> np.ndarray:
    """float32 (rows,): ‖x‖² of each row."""
    return np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float32).ravel()


def nearest_rows(
    left: sp.csr_matrix,
    right: sp.csr_matrix,
    right_norms: np.ndarray,
    *,
    similarity: Similarity,
    shrinkage: float,
    asymmetry: float,
    neighbours: int,
    not_with: np.ndarray,
) -> sp.csr_matrix:
    """Sparse float32 (rows of left, rows of right): the similarity to the `neighbours` most similar, ties to the lower row.

    Args:
        left: weighed rows.
        right: weighed rows, *transposed*: (terms, rows), in compressed rows.
        right_norms: `squared_norms` of the right rows.
        similarity: one of the table above.
        shrinkage: see the table.
        asymmetry: the power a; more than ½ counts the left row's norm more.
        neighbours: how many to keep a row.
        not_with: int (rows of left,): a right row that is no neighbour (the row itself), or -1.
    """
    left_norms = squared_norms(left)
    bound = np.diff(right.indptr)[left.indices]
    work = np.concatenate([[0], np.cumsum(bound, dtype=np.int64)])[left.indptr]
    blocks, start = [], 0
    while start < left.shape[0]:
        end = max(int(np.searchsorted(work, work[start] + _BLOCK, side="right")) - 1, start + 1)
        products = (left[start:end] @ right).tocsr()
        rows = np.repeat(np.arange(start, end), np.diff(products.indptr))
        x, y = left_norms[rows], right_norms[products.indices]
        if similarity == "cosine":
            products.data /= x**asymmetry * y ** (1 - asymmetry) + np.float32(shrinkage)
        elif similarity == "jaccard":
            products.data /= x + y - products.data + np.float32(shrinkage)
        products.data[products.indices == not_with[rows]] = 0
        products.eliminate_zeros()
        blocks.append(keep_best(products, neighbours))
        start = end
    if not blocks:
        return sp.csr_matrix((0, right.shape[1]), dtype=np.float32)
    return sp.vstack(blocks, format="csr")
