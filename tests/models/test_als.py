from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.als import Als
from tastemaker.models.base import Query
from tastemaker.nn import ridges

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
    monkeypatch.setattr(ridges, "_BLOCK", block)
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


SCALED = {"frequency_scaling": 0.7, "iterations": 200}


def scaled_penalties(table: np.ndarray, scaling: float) -> np.ndarray:
    """λ (C_r / mean C)^ν of each row of a table without PAD and UNKNOWN columns; the mean is over rows with a cell."""
    sums = np.where(table[:, 2:] > 0, 5.0 * table[:, 2:], 1.0).sum(axis=1)
    return 2.0 * (sums / sums[table.any(axis=1)].mean()) ** scaling


@pytest.mark.parametrize("weighted", [False, True])
def test_scaled_by_frequency_the_cost_has_no_slope_where_it_ends(interactions: Interactions, weighted: bool) -> None:
    model = solved(interactions, **SCALED, weighted=weighted)
    table = interactions.matrix(USERS, ITEMS, weighted=weighted).toarray().astype(np.float64)
    users = np.zeros((USERS, 3))
    asked = np.flatnonzero(table.any(axis=1))
    histories = Histories.of([np.repeat(np.arange(ITEMS), table[row].astype(int)) for row in asked])
    users[asked] = model.encode_user(Query.of(np.ones(len(asked), int), histories)).double().numpy()
    of_users, of_items = (torch.from_numpy(scaled_penalties(one, 0.7)) for one in (table, table.T))
    left = torch.from_numpy(users).requires_grad_()
    right = model.item_vectors.double().requires_grad_()
    cells = torch.from_numpy(table)
    confidence = torch.where(cells > 0, 5.0 * cells, 1.0)
    total = (confidence * ((cells > 0).double() - left @ right.T) ** 2).sum()
    total += (of_users[:, None] * left**2).sum() + (of_items[:, None] * right**2).sum()
    total.backward()
    assert left.grad is not None and right.grad is not None
    scale = float((confidence * (cells > 0)).sum())
    assert float(left.grad.abs().max()) < 1e-4 * scale and float(right.grad.abs().max()) < 1e-4 * scale
    assert float(right.detach().norm()) > 0.1


def test_scaled_by_frequency_rare_items_keep_longer_vectors(interactions: Interactions) -> None:
    """Beside the same λ for all, those with few events are held less and those with many more."""
    counts = np.bincount(interactions.item, minlength=ITEMS)
    plain, scaled = (solved(interactions, frequency_scaling=nu, iterations=200).item_vectors.norm(dim=1) for nu in (1e-9, 1.0))
    grown = (scaled / plain).nan_to_num(1.0).numpy()
    there = np.flatnonzero(counts)
    assert np.corrcoef(counts[there], grown[there])[0, 1] < -0.5


def test_scaled_by_frequency_almost_not_it_is_what_the_library_finds(interactions: Interactions) -> None:
    asked = Query.of(np.array([1, 1]), Histories.of([[3, 5, 9], [2, 4]]))
    exact, library = (solved(interactions, frequency_scaling=nu, factors=2, iterations=300) for nu in (1e-9, 0.0))
    torch.testing.assert_close(exact.score(asked), library.score(asked), atol=2e-2, rtol=0)


def test_scaled_by_frequency_a_state_loads_into_a_fresh_model(interactions: Interactions) -> None:
    model = solved(interactions, **SCALED)
    fresh = Als(model.config, model.schema)
    fresh.load_state_dict(model.state_dict())
    asked = Query.of(np.array([1]), Histories.of([[3, 5, 9]]))
    assert torch.equal(fresh.score(asked), model.score(asked))
    assert float(model.mean_confidence) > ITEMS - 2
