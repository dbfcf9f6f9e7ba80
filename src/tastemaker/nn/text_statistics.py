"""Vectors of words and texts that are counted, not trained; the same on every run."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tastemaker.nn.singular import right_singular_vectors


def latent_semantics(words: np.ndarray, bounds: np.ndarray, vocabulary: int, dim: int) -> np.ndarray:
    """A vector a text: tf-idf (Salton & Buckley 1988) on its first `dim` axes (Deerwester et al. 1990), centred: float32 (texts, dim).

    Their mean squared length is 1. Words that fewer than three texts have, or all of them, say nothing. A corpus of fewer dimensions
    leaves the others zero.

    Args:
        words: int (words,), codes 1 … `vocabulary`, all texts one after the other.
        bounds: int (texts + 1,), where each text begins.
        vocabulary: the largest code there may be.
        dim: length of a vector.
    """
    texts = len(bounds) - 1
    vectors = np.zeros((texts, dim), np.float32)
    cells = sp.csr_matrix((np.ones(len(words), np.float32), words, bounds), shape=(texts, vocabulary + 1))
    cells.sum_duplicates()
    held = np.bincount(cells.indices, minlength=vocabulary + 1)
    idf = np.where((held > 2) & (held < texts), np.log((1 + texts) / (1 + held)) + 1, 0.0)
    cells.data = ((1 + np.log(cells.data)) * idf[cells.indices]).astype(np.float32)
    cells.eliminate_zeros()
    lengths = np.sqrt(np.asarray(cells.multiply(cells).sum(1)).ravel())
    cells.data /= np.repeat(lengths, np.diff(cells.indptr))
    if cells.nnz:
        axes = right_singular_vectors(cells, dim)
        vectors[:, : axes.shape[1]] = cells @ axes
    vectors -= vectors.mean(0) if texts else 0
    size = np.sqrt(np.square(vectors).sum(1).mean()) if texts else 0.0
    return vectors / size if size > 0 else vectors


def word_vectors(words: np.ndarray, bounds: np.ndarray, vocabulary: int, dim: int, window: int = 5) -> np.ndarray:
    """A vector a word code, 0 … `vocabulary`: float32 (vocabulary + 1, dim); rows of words that never occur are zero, so is row 0.

    The positive pointwise mutual information of words up to `window` apart in a text, factorised: what skip-gram with negative sampling
    does in the limit (Levy & Goldberg 2014, "Neural word embedding as implicit matrix factorization"). Context counts are raised to .75, as
    there, and axes weigh by the square root of their singular value. The mean squared number is 1 / `dim`.
    """
    text = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    counts = sp.csr_matrix((vocabulary + 1, vocabulary + 1), dtype=np.float32)
    for step in range(1, window + 1):
        near = np.flatnonzero(text[step:] == text[:-step]) if len(text) > step else np.zeros(0, np.int64)
        ones = np.ones(len(near), np.float32)
        counts = counts + sp.csr_matrix((ones, (words[near], words[near + step])), shape=counts.shape)
    counts = (counts + counts.T).tocoo()
    found = np.zeros((vocabulary + 1, dim), np.float32)
    if not counts.nnz:
        return found
    often = np.asarray(counts.sum(1)).ravel()
    context = often**0.75 / (often**0.75).sum()
    information = np.log(counts.data / (often[counts.row] * context[counts.col]))
    positive = information > 0
    cells = sp.csr_matrix((information[positive], (counts.row[positive], counts.col[positive])), shape=counts.shape)
    if cells.nnz:
        axes = right_singular_vectors(cells, dim)
        values = np.linalg.norm(cells @ axes, axis=0)
        found[:, : axes.shape[1]] = (cells @ axes) / np.sqrt(values)
        found /= max(float(np.sqrt(np.square(found[often > 0]).mean() * dim)), 1e-9)
    return found
