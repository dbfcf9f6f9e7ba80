"""Drift: the divergence of the definition, few false alarms, and planted drift found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from tests.serve.serving import Server, serving

from tastemaker.serve.drift import _share, _value, by_chance, divergence

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=40).filter(any)


@given(st.data())
def test_the_divergence_is_scipys(data: st.DataObject) -> None:
    p = np.array(data.draw(COUNTS), float)
    q = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=len(p), max_size=len(p)).filter(any)), float)
    right = jensenshannon(p, q, base=2) ** 2
    assert divergence(p, q) == pytest.approx(0.0 if np.isnan(right) else right, abs=1e-9)
    assert divergence(p, q) == pytest.approx(divergence(q, p)) and divergence(p, p) == 0


@pytest.mark.parametrize(("learned", "size"), [(300, 300), (2000, 1000), (20_000, 2000), (20_000, 50)])
def test_two_samples_of_one_distribution_raise_few_alarms_and_drift_does(learned: int, size: int) -> None:
    """What was learned from is a sample as well: taken for the truth itself, four of five quiet weeks of a small shop would alarm."""
    alarms, seeds = 0, 100
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        shares = rng.zipf(1.6, 400).clip(1, 5000).astype(float)
        shares /= shares.sum()
        trained, now = (rng.multinomial(events, shares).astype(float) for events in (learned, size))
        alarms += divergence(now, trained) > by_chance(trained, now, np.random.default_rng(0))[1]
        turned = rng.multinomial(size, shares[::-1]).astype(float)
        if seed < 10:
            assert divergence(turned, trained) > by_chance(trained, turned, np.random.default_rng(0))[1]
    assert alarms / seeds <= 0.05


def test_chance_is_that_of_whole_splits_counted_out() -> None:
    """All 252 ways of dealing ten events out in halves."""
    trained, now = np.array([3.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 4.0, 0.0])
    whole = np.repeat(np.arange(4), (trained + now).astype(int))
    found = []
    for chosen in itertools.combinations(range(10), 5):
        part = np.bincount(whole[list(chosen)], minlength=4).astype(float)
        found.append(divergence(part, trained + now - part))
    low, high = by_chance(trained, now, np.random.default_rng(0))
    assert min(found) - 1e-9 <= low <= np.quantile(found, 0.1) and np.quantile(found, 0.9) <= high <= max(found) + 1e-9


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town")) as found:
        yield found


def measures(server: Server) -> dict[str, Any]:
    return {one["name"]: one for one in server.client.get("/v1/data/drift").json()["measures"]}


def test_what_it_learned_from_is_steady_and_a_rush_on_new_items_is_not(server: Server) -> None:
    before = measures(server)
    assert before["item_popularity"]["verdict"] == "steady" and before["unknown_items"]["value"] == 0
    assert before["kinds"]["verdict"] == before["value"]["verdict"] == "unknown"
    rush = [{"user_id": f"new{number % 50}", "item_id": f"fresh{number % 7}"} for number in range(1000)]
    for _ in range(3):
        server.client.post("/v1/events", json={"events": rush})
    server.service.swap(server.service.view.recommender)  # another view, so nothing held is told
    after = measures(server)
    share = 3000 / after["unknown_items"]["of"]
    assert after["unknown_items"]["value"] == pytest.approx(share) and after["unknown_items"]["verdict"] == "drifted"
    assert after["unknown_users"]["value"] == pytest.approx(share)


def test_without_a_model_there_is_nothing_to_drift_from(server: Server) -> None:
    held = server.service.view.recommender
    server.service.swap(None)
    told = server.client.get("/v1/data/drift").json()
    server.service.swap(held)
    assert told["model"] is None and told["measures"] == []


@pytest.mark.parametrize(
    ("strangers", "size", "verdict"),
    [(0, 9, "steady"), (1, 9, "steady"), (2, 50, "steady"), (3, 50, "watch"), (30, 500, "watch"), (150, 500, "drifted")],
)
def test_a_few_strangers_of_few_events_are_no_drift(strangers: int, size: int, verdict: str) -> None:
    assert _share("unknown_items", strangers, size, "").verdict == verdict


def test_values_of_one_distribution_are_steady_and_doubled_ones_are_not() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        learned, now = rng.exponential(3.0, 500), rng.exponential(3.0, 200)
        found = _value({"mean": float(learned.mean())}, 500, now.tolist())
        assert found.value == pytest.approx(now.mean() / learned.mean())
        alarms += found.verdict != "steady"
        assert _value({"mean": float(learned.mean())}, 500, (now * 3).tolist()).verdict == "drifted"
    assert alarms / 200 <= 0.08  # 5 % are expected: 10 of 200, give or take 6
    assert _value(None, 500, [1.0]).verdict == _value({"mean": 2.0}, 0, [1.0]).verdict == "unknown"
