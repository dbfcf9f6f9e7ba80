from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from tastemaker.errors import TrainingError
from tastemaker.nn import gram


def cells(users: int, items: int = 15, seed: int = 0) -> sp.csr_matrix:
    """The last user and the first item have nothing."""
    rng = np.random.default_rng(seed)
    table = (rng.random((users, items)) < 0.4).astype(np.float32)
    table[-1] = table[:, 0] = 0
    return sp.csr_matrix(table)


def test_both_ways_to_the_inverse_agree() -> None:
    some = cells(30)
    by_items, by_users = gram._inverse_by_items(some, 3.0), gram._inverse_by_users(some, 3.0)
    np.testing.assert_allclose(by_users, 3.0 * by_items, rtol=1e-4, atol=1e-6)


def test_the_smaller_matrix_is_inverted(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(gram, "_invert", lambda matrix, regularization: sizes.append(len(matrix)))
    gram.regress_on_others(cells(30), 3.0)
    gram.regress_on_others(cells(10), 3.0)
    assert sizes == [15, 9]


def test_each_column_is_a_ridge_regression_on_the_other_items() -> None:
    some = cells(30)
    table, weights = some.toarray().astype(np.float64), gram.regress_on_others(some, 2.5)
    assert not np.diagonal(weights).any()
    for item in range(table.shape[1]):
        others = np.delete(table, item, axis=1)
        right = np.linalg.solve(others.T @ others + 2.5 * np.eye(14), others.T @ table[:, item])
        np.testing.assert_allclose(np.delete(weights[:, item], item), right, rtol=1e-4, atol=1e-6)


def test_the_default_regularization_grows_with_users_and_with_their_histories() -> None:
    ones = sp.csr_matrix(np.ones((50, 4), np.float32))
    assert gram.default_regularization(ones) == pytest.approx(20 + 2 * np.sqrt(4 * 50))
    assert gram.default_regularization(sp.vstack([ones] * 9, format="csr")) == pytest.approx(20 + 2 * np.sqrt(4 * 450))
    assert gram.default_regularization(sp.hstack([ones] * 9, format="csr")) == pytest.approx(20 + 2 * np.sqrt(36 * 50))
    assert gram.default_regularization(3 * ones) == pytest.approx(9 * gram.default_regularization(ones))


def test_popularity_is_a_share_of_the_users_that_have_anything() -> None:
    some = cells(30)
    np.testing.assert_allclose(gram.popularity(some), some.toarray().sum(axis=0) / 29, rtol=1e-6)
    assert not gram.popularity(sp.csr_matrix((3, 4), dtype=np.float32)).any()


def test_a_matrix_that_cannot_be_inverted_is_an_error_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match=r"raise model\.regularization"):
        gram._invert(np.array([[1, 2], [2, 1]], np.float32), 0.1)
