from __future__ import annotations

import numpy as np
import pytest

from tastemaker.data.interactions import Interactions

USERS, ITEMS = 32, 17


@pytest.fixture
def interactions() -> Interactions:
    """30 users and 15 items in two loose tastes, with repeated events of two kinds; one item and two users have no events."""
    rng = np.random.default_rng(5)
    users = rng.integers(2, USERS - 2, 260)
    items = 2 + (2 * rng.integers(0, 7, 260) + (users + (rng.random(260) < 0.2)) % 2)
    order = np.lexsort((np.arange(260), users))
    return Interactions(
        user=users[order].astype(np.int32),
        item=items[order].astype(np.int32),
        time=(1 + np.arange(260, dtype=np.int64)) * 1_000_000,
        value=np.ones(260, np.float32),
        kind=rng.integers(0, 2, 260).astype(np.int8),
        side=np.full(260, -1, np.int8),
        kinds=("view", "purchase"),
        kind_weights=(1.0, 3.0),
    )
