from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.base import Encoder


def interactions_of(rows: list[list[int]]) -> Interactions:
    """What users 2, 3, … took, oldest first, as places of items."""
    items = np.array([place + 2 for row in rows for place in row], np.int32)
    users = np.repeat(np.arange(2, 2 + len(rows)), [len(row) for row in rows]).astype(np.int32)
    return Interactions(
        user=users,
        item=items,
        time=np.arange(1, len(items) + 1, dtype=np.int64),
        value=np.ones(len(items), np.float32),
        kind=np.zeros(len(items), np.int8),
        side=np.full(len(items), -1, np.int8),
    )


def precision(values: np.ndarray, group: np.ndarray, new: np.ndarray, train: Interactions) -> np.ndarray:
    """Of each user, the share of their group among the new items nearest to the mean of what they took, as many as there are."""
    histories = train.histories(int(train.user.max()) + 1)
    found = []
    for user in range(2, len(histories)):
        row = histories.row(user) - 2
        best = np.argsort(-(values[new] @ values[row].mean(0)), kind="stable")
        right = group[new] == group[row[0]]
        found.append(right[best[: right.sum()]].mean())
    return np.array(found)


@pytest.fixture
def nobody() -> Interactions:
    """Nobody did anything."""
    return interactions_of([])


@dataclass(frozen=True, eq=False)
class DecidingWords:
    """Texts of many words of which one decides who takes the item; some items are new, and only their texts can tell."""

    items: pa.Table
    group: np.ndarray
    """of each item"""
    new: np.ndarray
    """places of items that nobody took"""
    train: Interactions

    def precision(self, encoder: Encoder) -> np.ndarray:
        """Of each user, the share of right ones among the new items nearest to the mean of what they took, as many as are right."""
        return precision(encoder.encode(self.items).values, self.group, self.new, self.train)


def deciding_words(users: int = 300, of_group: int = 30, new: int = 8) -> DecidingWords:
    rng = np.random.default_rng(0)
    materials = ("oak", "steel", "cotton", "glass")
    others = (
        *(
            "large",
            "small",
            "round",
            "square",
            "modern",
            "classic",
            "outdoor",
            "kitchen",
            "office",
            "bedroom",
            "garden",
            "travel",
        ),
        *(
            "light",
            "heavy",
            "simple",
            "fine",
            "daily",
            "gift",
            "table",
            "chair",
            "lamp",
            "shelf",
            "box",
            "tray",
            "bowl",
            "stand",
        ),
        *("frame", "case", "set", "cover", "holder", "rack", "basket", "hook", "bench", "clock", "screen", "mat"),
    )
    group = np.repeat(np.arange(len(materials)), of_group)
    texts = []
    for one in group:
        chosen = rng.permutation(others)[:7].tolist()
        chosen.insert(int(rng.integers(8)), materials[one])
        texts.append(" ".join(chosen))
    places = np.arange(len(group)).reshape(len(materials), of_group)
    taste = np.arange(users) % len(materials)
    rows = [rng.permutation(places[one, new:])[:6].tolist() for one in taste]
    return DecidingWords(pa.table({"title": texts}), group, places[:, :new].ravel(), interactions_of(rows))


@pytest.fixture(scope="session")
def world_of_words() -> DecidingWords:
    return deciding_words()


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """Items of two groups; who takes one of a group takes no other, and some items nobody took: only what they hold can tell."""

    group: np.ndarray
    """0 or 1, of each item"""
    new: np.ndarray
    """places of items that nobody took"""
    train: Interactions

    def precision(self, values: np.ndarray) -> float:
        """The share of right ones among the new items nearest to the mean of what a user took, as many as are right; .5 is chance."""
        values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
        return float(precision(values, self.group, self.new, self.train).mean())


@pytest.fixture(scope="session")
def two_groups() -> TwoGroups:
    """64 items, 16 of them new; 120 users who took 6 each."""
    rng = np.random.default_rng(0)
    group, new = np.arange(64) % 2, np.arange(48, 64)
    rows = [rng.permutation(np.flatnonzero(group[:48] == user % 2))[:6].tolist() for user in range(120)]
    return TwoGroups(group, new, interactions_of(rows))
