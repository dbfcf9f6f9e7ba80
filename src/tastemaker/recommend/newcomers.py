"""Newcomers: items a model never saw, scored for any model by the known items they are like; nothing is trained again.

```
score(newcomer) = Σ w_j · score(j) + (1 - Σ w_j) · mean score        over neighbours j among the known items, Σ w_j < 1
```
It is Gantner et al. 2010 ("Learning attribute-to-feature mappings for cold-start recommendations", §4.2, k-nearest neighbours)
applied to scores instead of factors, which for a dot product is the same, so that it serves every model. Deviation: what the
neighbours do not vouch for is filled with the mean score of all known items, which is what is known of an item of which nothing
is known; so thin evidence keeps a newcomer in the middle of the field, where no list sees it, instead of anywhere the model's zero
happens to be.

| evidence | likeness to a known item | Σ w |
|---|---|---|
| content | cosine of tf-idf over words, categories and properties; of the given vectors where both have one | grows with the likeness of the best |
| use | cosine over users: how many who met the newcomer met it too, shrunk | n / (n + 5) after n users |

With both, use takes over from content as users come: Σ w = content · 5 / (n + 5) + n / (n + 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from tastemaker.data.contents import Cells
from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.nn.contents import rarities, weighed
from tastemaker.nn.similarity import squared_norms
from tastemaker.nn.sparse import keep_best

NEIGHBOURS = 50
"""Known items that vouch for a newcomer at most, by content and by use each."""
RECENT = 200
"""Newest events of a user that count as use."""

_FAINT = 0.05  # a likeness below this says nothing
_ROWS = 128  # newcomers compared at a time
_BLOCK = 1 << 24  # cosines held at a time
_SHARPNESS = 5  # likenesses count by this power, so that a twin is not outvoted by many faint resemblances
_HALF = 0.3  # where the best neighbour is as like as this, neighbours vouch for half of the score
_USERS = 5.0  # users after whom use and content count alike
_WITNESSES = 10.0  # shrinkage of likeness in use, in units of its denominator


@dataclass(frozen=True, eq=False)
class Content:
    """What the known items are made of, laid out so that the nearest to a newcomer are found in milliseconds; immutable."""

    edges: Mapping[str, np.ndarray]
    """of the bins of each numeric property"""
    terms: np.ndarray
    """float32 (terms,): how much a term counts"""
    postings: sp.csr_matrix
    """float32 (terms, known): weighed"""
    norms: np.ndarray
    """float32 (known,): squared"""
    centre: np.ndarray
    """float32 (dim,): taken off every given vector, because such vectors crowd around their mean"""
    units: np.ndarray
    """float32 (items with a vector, dim)"""
    codes: np.ndarray
    """int64: the items of `units`"""

    @classmethod
    def of(
        cls,
        rows: Iterable[Mapping[str, Any]],
        embeddings: Sequence[Sequence[float] | None] | None = None,
        *,
        pause: Callable[[], object] = lambda: None,
    ) -> Content:
        """Learns from the known items, a row an item code (PAD and UNKNOWN are empty rows).

        Args:
            rows: properties, categories among them: texts count by their words, short texts, list elements and flags by being
                equal, numbers by falling into the same of 16 equally filled bins or an overlapping one. No ids: a value that no
                other known item has counts for nothing.
            embeddings: vectors of the caller's own; those of another length than most are left out.
            pause: called every now and then, for who shares the interpreter with others that are in more of a hurry.
        """
        cells = Cells.of(rows, pause)
        edges = cells.edges()
        counts = cells.counts(edges, pause)
        terms = rarities(counts)
        known = weighed(counts, terms)
        vectors, codes = _vectors(embeddings or [])
        # With few vectors their mean says more of them than of the space; it counts fully only with many.
        centre = vectors.sum(axis=0) / (len(vectors) + 10)
        return cls(edges, terms, known.T.tocsr(), squared_norms(known), centre, _units(vectors - centre), codes)

    def weights(
        self, rows: Sequence[Mapping[str, Any]], embeddings: Sequence[Sequence[float] | None] | None = None
    ) -> sp.csr_matrix:
        """Weights of the neighbours of newcomers: float32 (newcomers, known), each row on its own and below 1 in sum."""
        asked = weighed(Cells.of(rows).counts(self.edges), self.terms)
        blocks = [self._by_terms(asked[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)]
        like = sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix((0, len(self.norms)), dtype=np.float32)
        vectors, places = _vectors(embeddings or [], self.units.shape[1])
        if len(places) and len(self.codes):
            like = self._by_vector(like, _units(vectors - self.centre), places)
        like.data = np.clip(like.data, 0, 1) ** _SHARPNESS
        best = like.max(axis=1).toarray().ravel()
        return sp.csr_matrix(sp.diags(best / (best + _HALF**_SHARPNESS)) @ _shares(like), dtype=np.float32)

    def _by_terms(self, asked: sp.csr_matrix) -> sp.csr_matrix:
        like = (asked @ self.postings).tocsr()
        rows = np.repeat(np.arange(like.shape[0]), np.diff(like.indptr))
        like.data /= np.sqrt(squared_norms(asked)[rows] * self.norms[like.indices])
        return _nearest(like)

    def _by_vector(self, like: sp.csr_matrix, units: np.ndarray, places: np.ndarray) -> sp.csr_matrix:
        """Likeness with the cosine of vectors in place of the one of content wherever both items have a vector."""
        with_vector = np.zeros(like.shape[1], bool)
        with_vector[self.codes] = True
        asks = np.zeros(like.shape[0], bool)
        asks[places] = True
        rows = np.repeat(np.arange(like.shape[0]), np.diff(like.indptr))
        like.data[asks[rows] & with_vector[like.indices]] = 0
        count = min(NEIGHBOURS, len(self.codes))
        cells, columns = [], []
        for block in np.array_split(units, len(units) * len(self.codes) // _BLOCK + 1):
            cosines = np.maximum(block @ self.units.T, 0)
            best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
            cells.append(np.take_along_axis(cosines, best, axis=1).ravel())
            columns.append(self.codes[best].ravel())
        at = (np.repeat(places, count), np.concatenate(columns))
        return _nearest((like + sp.csr_matrix((np.concatenate(cells), at), shape=like.shape, dtype=np.float32)).tocsr())


def use(histories: Histories, num_items: int, newcomers: int, users: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """Weights of neighbours by use: float32 (newcomers, num_items), rows that sum to 1 or are empty; and users of each newcomer.

    Args:
        histories: of everybody who met a newcomer, the newcomer at place p having code `num_items` + p; the newest `RECENT`
            events of each count, an item once a user. Others' histories add nothing and may be left out.
        num_items: codes of the model.
        newcomers: how many there are.
        users: int (num_items,): how many users each known item has in all.
    """
    recent = histories.last(RECENT)
    rows = np.repeat(np.arange(len(recent)), recent.lengths)
    met = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, recent.items)), shape=(len(recent), num_items + newcomers))
    met.data[:] = 1
    known, fresh = met[:, :num_items].tocsr(), met[:, num_items:].T.tocsr()
    known.data[known.indices < FIRST] = 0
    audience = np.diff(fresh.indptr)
    like = (fresh @ known).tocsr()
    like.eliminate_zeros()
    row = np.repeat(np.arange(newcomers), np.diff(like.indptr))
    like.data /= np.sqrt(audience[row] * np.maximum(users[like.indices], like.data)) + _WITNESSES
    return _shares(keep_best(like, NEIGHBOURS)), audience


def by_use_alone(by_use: sp.csr_matrix, audience: np.ndarray) -> sp.csr_matrix:
    """Weights from use: float32 (newcomers, num_items), rows that sum to n / (n + 5) after n users, or are empty."""
    share = np.where(np.diff(by_use.indptr) > 0, audience / (audience + _USERS), 0.0)
    return sp.csr_matrix(sp.diags(share) @ by_use, dtype=np.float32)


def combined(content: sp.csr_matrix, by_use: sp.csr_matrix, audience: np.ndarray) -> sp.csr_matrix:
    """Weights from both: float32 (newcomers, num_items), each row below 1 in sum, empty where there is no evidence."""
    share = np.where(np.diff(by_use.indptr) > 0, audience / (audience + _USERS), 0.0)
    return sp.csr_matrix(sp.diags(1 - share) @ content + sp.diags(share) @ by_use, dtype=np.float32)


def extended(scores: np.ndarray, weights: sp.csr_matrix) -> np.ndarray:
    """Scores of known items and newcomers: float32 (batch, num_items + newcomers); -inf for a newcomer without evidence.

    Args:
        scores: float32 (batch, num_items), finite for known items; those of PAD and UNKNOWN are not looked at.
        weights: (newcomers, num_items).
    """
    sums = np.asarray(weights.sum(axis=1), dtype=np.float32).ravel()
    mean = scores[:, FIRST:].mean(axis=1, keepdims=True)
    fresh = np.stack([weights @ row for row in scores]) if len(scores) else np.zeros((0, len(sums)), np.float32)
    fresh += mean * (1 - sums)
    fresh[:, sums <= 0] = -np.inf
    return np.concatenate([scores, fresh.astype(np.float32)], axis=1)


def stand_ins(weights: sp.csr_matrix, least: float = 0.5) -> np.ndarray:
    """The known item that stands for each newcomer in a history the model reads: int32 (newcomers,).

    It is the nearest neighbour, ties to the lower code; UNKNOWN where all neighbours vouch for less than `least`.
    """
    best = np.full(weights.shape[0], UNKNOWN, np.int32)
    trusted = np.asarray(weights.sum(axis=1)).ravel() >= least
    nearest = keep_best(weights.copy(), 1)
    filled = np.diff(nearest.indptr) > 0
    best[filled] = nearest.indices
    best[~trusted] = UNKNOWN
    return best


def _nearest(like: sp.csr_matrix) -> sp.csr_matrix:
    # Most pairs share some common term: without them the sort is short.
    like.data[like.data < _FAINT] = 0
    like.eliminate_zeros()
    return keep_best(like, NEIGHBOURS)


def _shares(like: sp.csr_matrix) -> sp.csr_matrix:
    """Cells as shares of their row's sum."""
    sums = np.asarray(like.sum(axis=1)).ravel()
    return sp.csr_matrix(sp.diags(1 / np.where(sums > 0, sums, 1)) @ like, dtype=np.float32)


def _vectors(given: Sequence[Sequence[float] | None], dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The finite vectors of length `dim` (None: the commonest) as unit vectors, float32 (n, dim), and their places."""
    lengths = [0 if one is None else len(one) for one in given]
    if dim is None:
        counted = Counter(length for length in lengths if length)
        dim = min(counted, key=lambda length: (-counted[length], length)) if counted else 0
    places = np.flatnonzero(np.asarray(lengths) == dim) if dim else np.zeros(0, np.int64)
    vectors = np.asarray([given[place] for place in places.tolist()], dtype=np.float64).reshape(len(places), dim)
    fine = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    vectors = vectors[fine]
    vectors /= np.abs(vectors).max(axis=1, keepdims=True, initial=0)  # so that no square overflows
    return _units(vectors).astype(np.float32), places[fine]


def _units(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1).astype(vectors.dtype)
