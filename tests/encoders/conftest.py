from __future__ import annotations

import numpy as np
import pytest

from tastemaker.data.interactions import Interactions


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


@pytest.fixture
def nobody() -> Interactions:
    """Nobody did anything."""
    return interactions_of([])
