"""Stores with a town of two tastes in them, and models of it: what the tests of registry, gate and jobs stand on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tastemaker as tm
from tastemaker.data.dataset import Dataset
from tastemaker.data.synthetic import two_tastes
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.experiment.api import train_model
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.store.base import Event, Item, Store, open_store

DAY = 86_400_000_000
START = 1_700_000_000_000_000


def events(num_users: int = 160, num_items: int = 40, *, seed: int = 0) -> list[Event]:
    """What users of two tastes did, a few hundred events a day."""
    world = two_tastes(num_users, num_items, generator=seed)
    rows = world.dataset.interactions
    order = np.random.default_rng(seed).permutation(len(rows))
    hours = np.empty(len(rows), np.int64)
    hours[order] = np.arange(len(rows))
    return [
        Event(f"u{user}", f"i{item}", START + int(hour) * 60_000_000, value=1.0)
        for user, item, hour in zip(rows.user, rows.item, hours, strict=True)
    ]


def town(path: Path, **settings: Any) -> Store:
    """A store of these events, and titles of half the items."""
    store = open_store(f"sqlite:///{path}")
    store.add_events(events(**settings))
    store.put_items([Item(f"i{n}", {"title": f"Thing {n}", "price": 1.5 * n}, ("even",)) for n in range(2, 42, 2)])
    return store


@cache
def learned(*, shuffled: bool = False) -> Dataset:
    """The town without each user's newest event; `shuffled` gives each event the item of another."""
    all_of_them = sorted(events(), key=lambda event: event.time)
    newest = {event.user_id: event for event in all_of_them}
    kept = [event for event in all_of_them if newest[event.user_id] is not event]
    items = [event.item_id for event in kept]
    if shuffled:
        items = [items[place] for place in np.random.default_rng(1).permutation(len(items))]
    frame = {"user_id": [event.user_id for event in kept], "item_id": items, "time": [event.time for event in kept]}
    return tm.load(frame)


def model(name: str, *, shuffled: bool = False, **settings: Any) -> Recommender:
    """A model that really learned from the town."""
    return train_model(name, learned(shuffled=shuffled), **settings)


def renamed(recommender: Recommender, word: Callable[[str], Any]) -> Recommender:
    """The same recommender with other ids."""
    users, items = (
        Vocabulary([word(one) for one in names.ids.to_pylist()]) for names in (recommender.users, recommender.items)
    )
    return Recommender(recommender.model, users, items, recommender.histories, events=recommender.events)


def saved(recommender: Recommender, folder: Path) -> Path:
    return artifact.save(recommender, folder)
