"""Worlds of reviews whose answer is known, for the models that read them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tastemaker.data.interactions import Interactions

USERS, ITEMS = 160, 160


def told(user, item, value, review) -> Interactions:
    """Rows by user, as a dataset has them."""
    order = np.lexsort((item, user))
    size = len(order)
    return Interactions(
        np.asarray(user, np.int32)[order],
        np.asarray(item, np.int32)[order],
        np.arange(size, dtype=np.int64),
        np.asarray(value, np.float32)[order],
        np.zeros(size, np.int8),
        np.full(size, -1, np.int8),
        review=pa.array(np.asarray(review, object)[order].tolist(), pa.large_string()),
    )


def parrots(seed: int = 0, *, honest: bool = True) -> Interactions:
    """Ratings at random, three a user and an item, and each review says its own: only who reads the answer can predict it.

    Not `honest`: reviews say any rating."""
    draw = np.random.default_rng(seed)
    user, item = np.divmod(draw.choice(USERS * ITEMS, 480, replace=False), ITEMS)
    value = draw.integers(1, 6, len(user))
    words = np.array(["awful", "poor", "fair", "good", "superb"])
    said = value if honest else draw.permutation(value)
    return told(user + 2, item + 2, value, [f"it is {words[v - 1]} {words[v - 1]}" for v in said])


def strings_and_cables(seed: int = 0) -> tuple[Interactions, Interactions]:
    """Strings are liked and cables are not; reviews say which an item is, and items have two ratings each, so biases hardly know.

    Rows to learn from, and other rows of the same users and items.
    """
    draw = np.random.default_rng(seed)
    kind = draw.permutation(np.arange(240) % 2)
    words = np.array([["cable", "plug", "metre"], ["string", "bronze", "gauge"]])
    rows = []
    for item in range(240):
        for user in draw.choice(60, 4, replace=False):
            value = np.clip(3 + (1 if kind[item] else -1) + draw.normal(0, 1), 1, 5)
            rows.append((user + 2, item + 2, value, " ".join(draw.permutation(words[kind[item]])[:2]) + " for a stage"))
    known = np.arange(len(rows)) % 4 < 2
    parts = [[row for row, one in zip(rows, known, strict=True) if one == wanted] for wanted in (True, False)]
    learned, asked = (told(*zip(*part, strict=True)) for part in parts)
    return learned, asked
