"""Stores with a town of two tastes in them, and models of it: what the tests of registry, gate and jobs stand on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tastemaker as tm
from tastemaker.data.synthetic import two_tastes
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


def model(name: str, learned: list[Event], *, shuffled: bool = False, **settings: Any) -> Recommender:
    """A model that really learned from events, each user's newest left out; `shuffled` gives each of them the item of another."""
    newest = {event.user_id: event for event in sorted(learned, key=lambda event: event.time)}
    kept = [event for event in learned if newest[event.user_id] is not event]
    items = [event.item_id for event in kept]
    if shuffled:
        items = [items[place] for place in np.random.default_rng(1).permutation(len(items))]
    frame = {
        "user_id": [event.user_id for event in kept],
        "item_id": items,
        "time": [event.time for event in kept],
    }
    return train_model(name, tm.load(frame), **settings)


def saved(recommender: Recommender, folder: Path) -> Path:
    return artifact.save(recommender, folder)


def later(learned: list[Event], days: int) -> list[Event]:
    """The same events, days later."""
    return [replace(event, time=event.time + days * DAY) for event in learned]
