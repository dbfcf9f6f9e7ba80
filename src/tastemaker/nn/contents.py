"""How much the terms of items' contents count when items are compared; the terms are those of `tastemaker.data.contents`."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tastemaker.nn.similarity import term_weights, weigh


def rarities(counts: sp.csr_matrix) -> np.ndarray:
    """float32 (terms,): the tf-idf factor of each term, learned from the known items: `counts` (items, terms).

    A word that nobody has counts as the rarest, as it makes a newcomer less like everybody; a value that fewer than two items have
    counts nothing, as it is as good as an id.
    """
    terms = term_weights(counts, "tfidf")
    held = np.bincount(counts.indices, minlength=counts.shape[1])
    filled = max(int((np.diff(counts.indptr) > 0).sum()), 1)
    terms[0::2][held[0::2] == 0] = np.log(filled + 0.5)
    terms[1::2][held[1::2] < 2] = 0
    return terms


def weighed(counts: sp.csr_matrix, terms: np.ndarray) -> sp.csr_matrix:
    """Rows of counts as tf-idf vectors, `terms` from `rarities`."""
    cells = weigh(counts, terms, "tfidf", 0.0)
    cells.eliminate_zeros()
    return cells
