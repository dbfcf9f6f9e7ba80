"""Sparse regressions agree with dense solvers wherever all items may speak, and with brute force where few may."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import ElasticNet

from tastemaker.nn import columns
from tastemaker.nn.columns import lasso, ridge, sparse_regression
from tastemaker.nn.gram import denoising_penalty, regress_on_others

USERS, ITEMS = 60, 20


def cells(seed: int = 0, density: float = 0.3) -> sp.csr_matrix:
    """The last item has no user."""
    table = (np.random.default_rng(seed).random((USERS, ITEMS)) < density).astype(np.float32)
    table[:, -1] = 0
    return sp.csr_matrix(table)


def penalty(some: sp.csr_matrix) -> np.ndarray:
    return denoising_penalty(some, 2.0, 0.2)


def test_items_for_which_a_single_one_may_speak_have_their_weight() -> None:
    pairs = sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 2))).astype(np.float32))  # items 0 and 1 go together, and 2 and 3
    found = sparse_regression(pairs, np.full(4, 1, np.float32), ridge, neighbours=5, rounds=2).toarray()
    np.testing.assert_allclose(found, np.kron(np.eye(2), [[0, 0.75], [0.75, 0]]), rtol=1e-6)


@pytest.mark.parametrize("block", [1 << 24, 300])
def test_with_every_item_allowed_a_ridge_is_the_dense_solution(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_CELLS", block)
    found = sparse_regression(cells(), np.full(ITEMS, 3, np.float32), ridge, neighbours=ITEMS, rounds=2).toarray().T
    np.testing.assert_allclose(found, regress_on_others(cells(), 3.0), rtol=1e-4, atol=1e-5)


def test_the_first_support_is_what_alone_lowers_the_cost_most_and_its_system_is_solved_exactly() -> None:
    some, k = cells(), 4
    table, own = some.toarray().astype(np.float64), penalty(some)
    found = sparse_regression(some, own, ridge, neighbours=k, rounds=1).toarray()
    assert not np.diagonal(found).any()
    for item in range(ITEMS - 1):
        gains = (table.T @ table[:, item]) ** 2 / ((table**2).sum(0) + own)
        gains[item] = 0
        best = np.sort(np.argsort(-gains, kind="stable")[:k])
        few = table[:, best]
        expected = np.linalg.solve(few.T @ few + np.diag(own[best]), few.T @ table[:, item])
        np.testing.assert_allclose(found[item, best], expected, rtol=1e-4, atol=1e-6)
        assert np.count_nonzero(found[item]) <= k
    assert not found[-1].any()


def test_more_rounds_find_items_that_cost_less() -> None:
    some = cells()
    table, own = some.toarray().astype(np.float64), penalty(some)

    def cost(rounds: int) -> float:
        weights = sparse_regression(some, own, ridge, neighbours=3, rounds=rounds).toarray().T
        return float(((table - table @ weights) ** 2).sum() + (own[:, None] * weights**2).sum())

    assert cost(3) < 0.999 * cost(1)


@pytest.mark.parametrize("l1", [0.5, 4.0])
def test_a_lasso_is_the_elastic_net_of_each_column(l1: float) -> None:
    some, l2 = cells(), 3.0
    solver = partial(lasso, l1=l1, tolerance=1e-6)
    found = sparse_regression(
        some, np.full(ITEMS, l2, np.float32), solver, neighbours=ITEMS, rounds=2, l1=l1, positive=True
    ).toarray()
    assert 0 < np.count_nonzero(found) < ITEMS * (ITEMS - 1)
    for item in range(ITEMS):
        others = some.toarray().astype(np.float64)
        target = others[:, item].copy()
        others[:, item] = 0
        net = ElasticNet(
            alpha=(l1 + l2) / USERS, l1_ratio=l1 / (l1 + l2), positive=True, fit_intercept=False, tol=1e-10, max_iter=10_000
        )
        np.testing.assert_allclose(found[item], net.fit(others, target).coef_, atol=1e-4)


def test_ties_in_what_may_speak_go_to_the_lower_code() -> None:
    twins = sp.csr_matrix(np.tile([[0, 1, 1, 1, 1]], (6, 1)).astype(np.float32))
    found = sparse_regression(twins, np.ones(5, np.float32), ridge, neighbours=2, rounds=1).toarray()
    assert [np.flatnonzero(row).tolist() for row in found] == [[], [2, 3], [1, 3], [1, 2], [1, 2]]
