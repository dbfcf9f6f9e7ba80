from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.synthetic import popular
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query
from tastemaker.models.popularity import Popularity

DAY = 86_400_000_000


def events(
    items: list[int], days: list[float], kinds: list[int] | None = None, weights: tuple[float, ...] = (1.0,)
) -> Interactions:
    count = len(items)
    return Interactions(
        user=np.full(count, 2, np.int32),
        item=np.asarray(items, np.int32),
        time=(np.asarray(days) * DAY).astype(np.int64),
        value=np.ones(count, np.float32),
        kind=np.asarray(kinds or [0] * count, np.int8),
        side=np.full(count, -1, np.int8),
        kinds=tuple(f"kind {place}" for place in range(len(weights))),
        kind_weights=weights,
    )


def counted(interactions: Interactions, **settings: object) -> list[float]:
    model = Popularity(Popularity.Config.parse(settings), FeatureSchema(3, 6))
    model.solve(interactions)
    return model.score(Query.of(np.array([2]), Histories.of([[2]])))[0, 2:].tolist()


def test_all_events_count_alike() -> None:
    assert counted(events([2, 3, 3, 5], [1, 2, 3, 400])) == [1, 2, 0, 1]


def test_a_window_counts_the_last_days_its_edge_included() -> None:
    assert counted(events([2, 3, 3, 5], [1, 392.9, 393, 400]), window_days=7) == [0, 1, 0, 1]


def test_decay_halves_each_half_life() -> None:
    assert counted(events([2, 3, 5], [10, 20, 30]), half_life_days=10) == [0.25, 0.5, 0, 1]


def test_decay_counts_only_within_the_window() -> None:
    assert counted(events([2, 3, 5], [10, 20, 30]), half_life_days=10, window_days=15) == [0, 0.5, 0, 1]


def test_an_event_counts_by_the_weight_of_its_kind_unless_told_not_to() -> None:
    data = events([2, 3, 3], [1, 1, 1], kinds=[1, 0, 0], weights=(1.0, 5.0))
    assert counted(data) == [5, 2, 0, 0]
    assert counted(data, weighted=False) == [1, 2, 0, 0]


def test_a_window_needs_times() -> None:
    with pytest.raises(ConfigError, match="expected times"):
        counted(events([2, 3], [0, 0]), window_days=7)


def test_a_window_knows_what_is_liked_of_late() -> None:
    late, ever = popular(recent=True), popular()
    asked = Query.of(late.users, late.histories)
    for settings, world in (({"window_days": 7}, late), ({}, ever)):
        model = Popularity(Popularity.Config.parse(settings), world.dataset.schema)
        model.solve(world.dataset.interactions)
        scores = model.score(asked)
        scores[:, :2] = -torch.inf
        scores[asked.rows, asked.items] = -torch.inf
        lists = torch.sort(scores, descending=True, stable=True).indices[:, :3]
        assert world.hit_share(lists.numpy()) == 1
