from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models import als
from tastemaker.models.als import Als
from tastemaker.models.base import Query

from .conftest import ITEMS, USERS

SETTINGS = {"factors": 3, "regularization": 2.0, "alpha": 5.0, "iterations": 300}


def solved(interactions: Interactions, **settings: object) -> Als:
    model = Als(Als.Config.parse({**SETTINGS, **settings}), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def naive_half(other: np.ndarray, table: np.ndarray, alpha: float, regularization: float) -> np.ndarray:
    """Hu et al. 2008, equation 4, one row at a time."""
    rows = []
    for cells in table:
        confidence = np.where(cells > 0, alpha * cells, 1.0)
        left = other.T @ (confidence[:, None] * other) + regularization * np.eye(other.shape[1])
        rows.append(np.linalg.solve(left, other.T @ (confidence * (cells > 0))))
    return np.array(rows)


def cost(users: np.ndarray, items: np.ndarray, table: np.ndarray, alpha: float, regularization: float) -> float:
    confidence = np.where(table > 0, alpha * table, 1.0)
    return float(
        (confidence * ((table > 0) - users @ items.T) ** 2).sum() + regularization * ((users**2).sum() + (items**2).sum())
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_it_ends_where_a_naive_alternation_stays(interactions: Interactions, weighted: bool) -> None:
    """A fixed point of both exact half steps, as cheap as the best of naive runs from other starts."""
    table = interactions.matrix(USERS, ITEMS, weighted=weighted).toarray().astype(np.float64)
    found = solved(interactions, weighted=weighted).item_vectors.double().numpy()
    users = naive_half(found, table, 5.0, 2.0)
    items = naive_half(users, table.T, 5.0, 2.0)
    np.testing.assert_allclose(items, found, atol=2e-2)
    naive = []
    for seed in range(5):
        start = np.random.default_rng(seed).normal(size=(ITEMS, 3)) * 0.1
        for _ in range(100):
            left = naive_half(start, table, 5.0, 2.0)
            start = naive_half(left, table.T, 5.0, 2.0)
        naive.append(cost(left, start, table, 5.0, 2.0))
    assert cost(users, found, table, 5.0, 2.0) < min(naive) * 1.02


@pytest.mark.parametrize("block", [1 << 25, 1])
def test_folding_in_is_the_exact_ridge_of_the_history(
    interactions: Interactions, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(als, "_BLOCK", block)
    model = solved(interactions, iterations=3)
    table = np.zeros((3, ITEMS))
    table[0, [3, 5, 9]], table[1, 2:14], table[2, 6] = 1, 1, 1
    asked = Query.of(np.array([1, 1, 1]), Histories.of([[9, 3, 5, 3], list(range(2, 14)), [6]]))
    expected = naive_half(model.item_vectors.double().numpy(), table, 5.0, 2.0)
    np.testing.assert_allclose(model.encode_user(asked).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_repeated_events_raise_confidence_only_when_weighted(interactions: Interactions) -> None:
    once, twice = (Query.of(np.array([1]), Histories.of([row])) for row in ([3, 5], [3, 5, 5]))
    plain, weighted = solved(interactions, iterations=3), solved(interactions, iterations=3, weighted=True)
    assert torch.equal(plain.score(once), plain.score(twice))
    assert weighted.score(twice)[0, 5] > weighted.score(once)[0, 5]


def test_a_user_with_nothing_gets_the_mean_training_user(interactions: Interactions) -> None:
    model = solved(interactions)
    table = interactions.matrix(USERS, ITEMS).toarray().astype(np.float64)
    users = naive_half(model.item_vectors.double().numpy(), table[table.any(axis=1)], 5.0, 2.0)
    nobody = model.encode_user(Query.of(np.array([1]), Histories.of([[]])))[0]
    np.testing.assert_allclose(nobody.numpy(), users.mean(axis=0), atol=1e-2)
    popularity = table.sum(axis=0)
    scores = model.score(Query.of(np.array([1]), Histories.of([[]])))[0].numpy()
    assert np.corrcoef(popularity[2:], scores[2:])[0, 1] > 0.9


def test_the_seed_decides_the_start_and_threads_do_not_matter(interactions: Interactions) -> None:
    first = solved(interactions, iterations=1).item_vectors
    assert torch.equal(solved(interactions, iterations=1).item_vectors, first)
    assert not torch.equal(solved(interactions, iterations=1, seed=1).item_vectors, first)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(solved(interactions, iterations=1).item_vectors, first)
    finally:
        torch.set_num_threads(threads)


def test_solving_prints_nothing(interactions: Interactions, capfd: pytest.CaptureFixture[str]) -> None:
    solved(interactions)
    assert capfd.readouterr() == ("", "")
