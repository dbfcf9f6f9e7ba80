from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from tastemaker.nn import similarity
from tastemaker.nn.similarity import mean_length, nearest_rows, squared_norms, term_weights, weigh


def random_rows(rows: int = 12, terms: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((rows, terms)) < 0.4, rng.integers(1, 4, (rows, terms)), 0).astype(np.float32)
    dense[3] = 0
    dense[:, 5] = 0
    return dense


def naive_weigh(dense: np.ndarray, weighting: str) -> np.ndarray:
    if weighting == "none":
        return dense
    held = dense.any(axis=1)
    occurrences = (dense > 0).sum(axis=0)
    rarity = np.where(occurrences > 0, np.log((held.sum() + 0.5) / np.maximum(occurrences, 1)), 0)
    if weighting == "tfidf":
        return np.sqrt(dense) * rarity
    n = dense.sum(axis=1, keepdims=True)
    return dense * 2.2 / (dense + 1.2 * (0.25 + 0.75 * n / n[held].mean())) * rarity


def naive_similarity(x: np.ndarray, y: np.ndarray, kind: str, shrinkage: float, a: float) -> float:
    dot = float(x @ y)
    if dot == 0:
        return 0.0
    below = {
        "cosine": float(x @ x) ** a * float(y @ y) ** (1 - a),
        "jaccard": float(x @ x) + float(y @ y) - dot,
        "dot": 1.0 - shrinkage,
    }[kind]
    return dot / (below + shrinkage)


def nearest(dense: np.ndarray, weighting: str, kind: str, shrinkage: float, a: float, k: int) -> sp.csr_matrix:
    matrix = sp.csr_matrix(dense)
    rows = weigh(matrix, term_weights(matrix, weighting), weighting, mean_length(matrix))
    return nearest_rows(
        rows,
        rows.T.tocsr(),
        squared_norms(rows),
        similarity=kind,
        shrinkage=shrinkage,
        asymmetry=a,
        neighbours=k,
        not_with=np.arange(len(dense)),
    )


@pytest.mark.parametrize(
    ("weighting", "kind", "shrinkage"), list(product(["none", "tfidf", "bm25"], ["cosine", "jaccard", "dot"], [0.0, 2.5]))
)
def test_similarities_are_those_of_a_dense_double_loop(weighting: str, kind: str, shrinkage: float) -> None:
    dense = random_rows()
    weighed = naive_weigh(dense, weighting)
    expected = np.array([[naive_similarity(x, y, kind, shrinkage, 0.3) for y in weighed] for x in weighed])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(nearest(dense, weighting, kind, shrinkage, 0.3, 12).toarray(), expected, rtol=1e-5, atol=1e-7)
    best = np.sort(expected, axis=1)[:, ::-1][:, :3]
    kept = np.sort(nearest(dense, weighting, kind, shrinkage, 0.3, 3).toarray(), axis=1)[:, ::-1][:, :3]
    np.testing.assert_allclose(kept, best, rtol=1e-5, atol=1e-7)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest(random_rows(40, 20), "tfidf", "cosine", 1.0, 0.5, 4)
    for block in (1, 7, 100):
        monkeypatch.setattr(similarity, "_BLOCK", block)
        parts = nearest(random_rows(40, 20), "tfidf", "cosine", 1.0, 0.5, 4)
        assert (parts != whole).nnz == 0


def test_jaccard_of_plain_sets_is_shared_over_all() -> None:
    found = nearest(np.array([[1, 1, 1, 0], [0, 1, 1, 1]], np.float32), "none", "jaccard", 0, 0.5, 1)
    assert found[0, 1] == pytest.approx(2 / 4)


def test_shrinkage_lowers_similarities_with_few_witnesses_more() -> None:
    few, many = np.zeros((2, 40), np.float32), np.zeros((2, 40), np.float32)
    few[:, :2], many[:, :30] = 1, 1
    assert nearest(few, "none", "cosine", 0, 0.5, 1)[0, 1] == pytest.approx(nearest(many, "none", "cosine", 0, 0.5, 1)[0, 1])
    assert nearest(few, "none", "cosine", 5, 0.5, 1)[0, 1] < nearest(many, "none", "cosine", 5, 0.5, 1)[0, 1]


def test_rare_terms_weigh_more_and_absent_ones_nothing() -> None:
    matrix = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32))
    for weighting in ("tfidf", "bm25"):
        common, rare, absent = term_weights(matrix, weighting)
        assert rare > common > absent == 0
