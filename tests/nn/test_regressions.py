"""Regressions against their closed forms: means exactly, draws by their moments."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tastemaker.nn.regressions import RATE, Groups, MeanProduct, SparseRegression, normal_gamma, precision_of


def _problem(seed=0, groups=7, others=9, dim=3, rows=60):
    draw = np.random.default_rng(seed)
    owner = draw.integers(0, groups - 1, rows)  # the last group has no rows
    other, goal = draw.integers(0, others, rows), draw.normal(size=rows).astype(np.float32)
    table = draw.normal(size=(others, dim)).astype(np.float32)
    prior = draw.normal(size=(groups, dim)).astype(np.float32)
    half = draw.normal(size=(dim, dim))
    return owner, other, goal, table, prior, (half @ half.T + np.eye(dim)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_each_group_is_the_ridge_solution_of_its_rows(seed):
    owner, other, goal, table, prior, precision = _problem(seed)
    groups = Groups(owner, other, len(prior), *table.shape)
    mean, draw = groups.solve(*map(torch.from_numpy, (table, goal, prior, precision)), 2.5)
    assert torch.equal(mean, draw)
    for group in range(len(prior)):
        x, y = table[other[owner == group]], goal[owner == group]
        left = precision + 2.5 * x.T @ x
        expected = np.linalg.solve(left, precision @ prior[group] + 2.5 * x.T @ y)
        np.testing.assert_allclose(mean[group], expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(mean[-1], prior[-1], rtol=1e-6)


def test_draws_have_the_mean_and_covariance_of_the_conditional():
    copies, draw = 20_000, np.random.default_rng(1)
    table = np.array([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.7]], np.float32)
    precision, goal = np.array([[2.0, 0.4], [0.4, 1.0]], np.float32), np.array([1.0, -2.0, 0.5], np.float32)
    prior = np.array([0.3, -0.2], np.float32)
    owner, other = np.repeat(np.arange(copies), 3), np.tile(np.arange(3), copies)
    groups = Groups(owner, other, 2 * copies, 3, 2)  # as many groups again without rows: they have the prior
    around = torch.from_numpy(np.tile(prior, (2 * copies, 1)))
    _, drawn = groups.solve(
        torch.from_numpy(table), torch.from_numpy(np.tile(goal, copies)), around, torch.from_numpy(precision), 1.5, draw
    )
    posterior = np.linalg.inv(precision + 1.5 * table.T @ table)
    mean = posterior @ (precision @ prior + 1.5 * table.T @ goal)
    for part, expected, covariance in ((drawn[:copies], mean, posterior), (drawn[copies:], prior, np.linalg.inv(precision))):
        np.testing.assert_allclose(part.mean(0), expected, atol=5 * covariance.max() ** 0.5 / copies**0.5)
        np.testing.assert_allclose(np.cov(part.T), covariance, atol=0.03 * covariance.max())


def test_sparse_draws_have_the_mean_and_covariance_of_the_closed_form():
    copies, draw = 20_000, np.random.default_rng(2)
    features = sp.random(6, 4, 0.6, "csr", dtype=np.float32, random_state=3)
    goal = draw.normal(size=6).astype(np.float32)
    noise, prior = np.full(copies, 2.0, np.float32), np.full(copies, 0.7, np.float32)
    drawn = SparseRegression(features).draw(np.tile(goal[:, None], copies), noise, prior, draw)
    dense = features.toarray()
    covariance = np.linalg.inv(2.0 * dense.T @ dense + 0.7 * np.eye(4))
    expected = covariance @ (2.0 * dense.T @ goal)
    np.testing.assert_allclose(drawn.mean(1), expected, atol=5 * covariance.max() ** 0.5 / copies**0.5)
    np.testing.assert_allclose(np.cov(drawn), covariance, atol=0.03 * covariance.max())


def test_columns_have_precisions_of_their_own():
    features = sp.random(40, 30, 0.2, "csr", dtype=np.float32, random_state=0)
    right = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    scale, shift = np.array([0.1, 3.0, 50.0], np.float32), np.array([2.0, 0.5, 1.0], np.float32)
    found = SparseRegression(features)._solve(right, scale, shift, tolerance=1e-6)
    gram = (features.T @ features).toarray()
    for column in range(3):
        expected = np.linalg.solve(scale[column] * gram + shift[column] * np.eye(30), right[:, column])
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-3, atol=1e-4)


def test_the_mean_of_products_is_exact_while_the_rank_suffices_and_else_the_nearest():
    draw = torch.Generator().manual_seed(0)
    pairs = [(torch.randn(12, 2, generator=draw), torch.randn(9, 2, generator=draw)) for _ in range(4)]
    whole = sum(left @ right.T for left, right in pairs) / 4
    found = MeanProduct(9), MeanProduct(3)
    for left, right in pairs:
        for one in found:
            one.add(left, right)
    exact, near = (left @ right.T for left, right in (one.factors() for one in found))
    torch.testing.assert_close(exact, whole, rtol=1e-4, atol=1e-5)
    singular = torch.linalg.svdvals(whole)
    assert float((near - whole).norm()) <= 1.05 * float(singular[3:].norm())
    assert torch.linalg.matrix_rank(near) == 3


def test_columns_beyond_the_rank_there_is_are_zero():
    product = MeanProduct(5)
    product.add(torch.ones(3, 1), torch.ones(4, 1))
    left, right = product.factors()
    assert left.shape == (3, 5)
    assert right.shape == (4, 5)
    torch.testing.assert_close(left @ right.T, torch.ones(3, 4))


def test_means_and_precisions_drawn_are_those_of_many_values():
    draw = np.random.default_rng(4)
    values = torch.from_numpy(draw.normal([1.0, -2.0], [0.5, 2.0], (5000, 2)))
    means, precisions = zip(*(normal_gamma(values.float(), draw) for _ in range(400)), strict=True)
    np.testing.assert_allclose(torch.stack(means).mean(0), values.mean(0), atol=0.01)
    np.testing.assert_allclose(torch.stack(means).std(0), values.std(0) / 5000**0.5, rtol=0.15)
    np.testing.assert_allclose(torch.stack(precisions).mean(0), 1 / values.var(0), rtol=0.02)
    np.testing.assert_allclose(torch.stack(precisions).std(0), (2 / 5000) ** 0.5 / values.var(0), rtol=0.15)


def test_a_precision_without_values_is_that_of_its_prior():
    draw = np.random.default_rng(5)
    drawn = [float(precision_of(np.zeros((0, 1)), draw)[0]) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(1 / RATE, rel=0.08)  # Gamma(1, rate) has mean and standard deviation 1 / rate
    assert np.std(drawn) == pytest.approx(1 / RATE, rel=0.1)
