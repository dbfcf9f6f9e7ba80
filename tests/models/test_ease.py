from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.ease import Ease
from tastemaker.nn import gram

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> Ease:
    model = Ease(Ease.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def few(interactions: Interactions) -> Interactions:
    """The first nine users: fewer than items."""
    return interactions.take(interactions.user < 11)


@pytest.mark.parametrize("block", [1024, 5, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("few_users", [False, True])
def test_weights_are_the_closed_form(
    interactions: Interactions, weighted: bool, few_users: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram, "_BLOCK", block)
    if few_users:
        interactions = few(interactions)
    table = np.zeros((USERS, ITEMS))
    np.add.at(table, (interactions.user, interactions.item), interactions.weight)
    if not weighted:
        table = np.minimum(table, 1)
    inverse = np.linalg.inv(table.T @ table + 3.5 * np.eye(ITEMS))
    expected = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(expected, 0)
    found = solved(interactions, regularization=3.5, weighted=weighted).weights.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_no_other_weights_without_a_diagonal_cost_less(interactions: Interactions) -> None:
    table = interactions.matrix(USERS, ITEMS).toarray().astype(np.float64)
    best = solved(interactions, regularization=2.0).weights.double().numpy()

    def cost(weights: np.ndarray) -> float:
        return float(((table - table @ weights) ** 2).sum() + 2.0 * (weights**2).sum())

    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        step = rng.normal(size=best.shape) * size
        np.fill_diagonal(step, 0)
        assert cost(best) < cost(best + step)


def test_a_user_with_nothing_gets_the_popularity_order(interactions: Interactions) -> None:
    model = solved(interactions)
    table = interactions.matrix(USERS, ITEMS)
    share = table.sum(axis=0) / (np.diff(table.indptr) > 0).sum()
    scores = model.score(Query.of(np.array([1]), Histories.of([[]])))
    np.testing.assert_allclose(scores.numpy(), share, rtol=1e-6)


def test_a_missing_event_lowers_the_score_by_its_contribution(interactions: Interactions) -> None:
    model = solved(interactions)
    asked = Query.of(np.array([1]), Histories.of([[3, 5, 9, 5]]))
    full, less = (model.score(Query.of(np.array([1]), Histories.of([row]))) for row in ([3, 5, 9, 5], [3, 9]))
    for item in range(2, ITEMS):
        parts = model.contributions(asked, torch.tensor([item]))
        assert float(full[0, item] - less[0, item]) == pytest.approx(float(parts[1] + parts[3]), abs=1e-6)
        assert parts[1] == parts[3]
