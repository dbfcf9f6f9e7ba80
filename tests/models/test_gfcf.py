from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.gfcf import GFCF

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> GFCF:
    model = GFCF(GFCF.Config.parse(settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def table_of(interactions: Interactions) -> np.ndarray:
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    return table


def dense_filter(table: np.ndarray, factors: int, alpha: float) -> np.ndarray:
    """Items × items, from the paper, by a full decomposition."""
    users, items = np.maximum(table.sum(1), 1e-12), np.maximum(table.sum(0), 1.0)
    normal = table / np.sqrt(users)[:, None] / np.sqrt(items)[None, :]
    right = np.linalg.svd(normal)[2][:factors]
    return normal.T @ normal + alpha * np.diag(items**-0.5) @ right.T @ right @ np.diag(items**0.5)


@pytest.mark.parametrize(("factors", "alpha"), [(4, 0.3), (1, 2.0), (4, 0.0)])
def test_scores_are_those_of_the_dense_filter(interactions: Interactions, factors: int, alpha: float) -> None:
    table = table_of(interactions)
    found = solved(interactions, factors=factors, alpha=alpha).score(Query.of(np.arange(USERS), interactions.histories(USERS)))
    asked = table.sum(1) > 0
    np.testing.assert_allclose(found[asked], (table @ dense_filter(table, factors, alpha))[asked], atol=2e-4)


def test_more_histories_than_a_block_are_scored_as_one_at_a_time(interactions: Interactions) -> None:
    model, histories = solved(interactions), interactions.histories(USERS)
    many = Query.of(np.tile(np.arange(USERS), 9), histories.take(np.tile(np.arange(USERS), 9)))
    scores = model.score(many)
    assert len(many) > 256
    torch.testing.assert_close(scores[-USERS:], model.score(Query.of(np.arange(USERS), histories)))


def test_a_user_with_nothing_gets_the_popularity_order(interactions: Interactions) -> None:
    scores = solved(interactions).score(Query.of(np.array([1]), Histories.of([[]])))[0]
    table = table_of(interactions)
    np.testing.assert_allclose(scores, table.sum(0) / (table.sum(1) > 0).sum(), rtol=1e-6)


def test_a_missing_event_lowers_the_score_by_its_contribution(interactions: Interactions) -> None:
    model = solved(interactions, factors=3)
    full, less = (model.score(Query.of(np.array([1]), Histories.of([row]))) for row in ([3, 5, 9], [3, 9]))
    parts = model.contributions(Query.of(np.array([1]), Histories.of([[3, 5, 9]])), torch.tensor([7]))
    assert float(full[0, 7] - less[0, 7]) == pytest.approx(float(parts[1]), rel=1e-3)
