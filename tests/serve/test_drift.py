"""Drift: the divergence of the definition, few false alarms, and planted drift found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from tests.serve.serving import Server, serving

from tastemaker.serve.drift import by_chance, divergence

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=40).filter(any)


@given(st.data())
def test_the_divergence_is_scipys(data: st.DataObject) -> None:
    p = np.array(data.draw(COUNTS), float)
    q = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=len(p), max_size=len(p)).filter(any)), float)
    right = jensenshannon(p, q, base=2) ** 2
    assert divergence(p, q) == pytest.approx(0.0 if np.isnan(right) else right, abs=1e-9)
    assert divergence(p, q) == pytest.approx(divergence(q, p)) and divergence(p, p) == 0


@pytest.mark.parametrize("size", [50, 500, 5000])
def test_chance_alone_raises_few_alarms_and_drift_does(size: int) -> None:
    rng = np.random.default_rng(1)
    trained = rng.zipf(1.6, 400).clip(1, 5000).astype(float)
    high = by_chance(trained, size, np.random.default_rng(0))[1]
    shares = trained / trained.sum()
    alarms = sum(divergence(rng.multinomial(size, shares).astype(float), trained) > high for _ in range(200))
    assert alarms <= 16  # 2.5 % are expected above the upper end, 5 of 200
    turned = divergence(rng.multinomial(size, shares[::-1]).astype(float), trained)
    assert turned > high + 0.1


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
