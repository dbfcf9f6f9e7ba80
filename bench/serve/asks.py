"""What the load generator sends: requests as bytes, drawn with a seed."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np

from bench.serve import world as worlds
from bench.serve.loadgen import request
from bench.serve.world import World

_batches = itertools.count()
FILTERS = (
    ("price < $most", "most"),
    ("category = $which", "which"),
    ("price < $most AND category IN ('c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8')", "most"),
    ("NOT tags HAS 't7' AND price < $most", "most"),
)
"""They pass from a hundredth to nearly all of the catalogue; values are drawn from a few hundred, as those of a shop are."""


def recommend(made: World, count: int = 20_000, seed: int = 0) -> list[bytes]:
    """For a user with a stored history: a filter, and nothing seen."""
    draw = np.random.default_rng(seed)
    asked = []
    for place in draw.integers(0, made.users, count).tolist():
        text, name = FILTERS[int(draw.integers(len(FILTERS)))]
        value = int(draw.integers(5, 60)) if name == "most" else f"c{int(draw.integers(worlds.CATEGORIES))}"
        body = {"user_id": worlds.user(place), "limit": 10, "filter": text, "parameters": {name: value}}
        asked.append(request("POST", "/v1/recommendations", body))
    return asked


def users(made: World, count: int = 20_000, seed: int = 0) -> list[bytes]:
    """For a user with a stored history: nothing seen, no filter."""
    places = np.random.default_rng(seed).integers(0, made.users, count).tolist()
    return [request("POST", "/v1/recommendations", {"user_id": worlds.user(place), "limit": 10}) for place in places]


def histories(made: World, count: int = 5000, seed: int = 0) -> list[bytes]:
    """For the naive server: it is told the history, as many events as users here have."""
    draw = np.random.default_rng(seed)
    asked = []
    for _ in range(count):
        length = int(min(draw.geometric(made.users / made.events), worlds.LENGTH))
        met = [worlds.item(place) for place in draw.integers(0, made.items, length).tolist()]
        asked.append(request("POST", "/recommend", {"history": met, "limit": 10}))
    return asked


def popular() -> list[bytes]:
    """The list for everybody."""
    return [request("GET", "/v1/popular?limit=10")]


def events(made: World, batches: int, size: int, seed: int = 0) -> list[bytes]:
    """Batches of events that the store has not seen, each with an id."""
    draw = np.random.default_rng(seed)
    asked = []
    for _ in range(batches):
        name = f"{time.time_ns():x}-{next(_batches)}"
        users, items = draw.integers(0, made.users, size).tolist(), draw.integers(0, made.items, size).tolist()
        rows = [
            {"event_id": f"{name}-{place}", "type": "view", "user_id": worlds.user(user), "item_id": worlds.item(item)}
            for place, (user, item) in enumerate(zip(users, items, strict=True))
        ]
        asked.append(request("POST", "/v1/events", json.dumps({"events": rows}, separators=(",", ":")).encode()))
    return asked
