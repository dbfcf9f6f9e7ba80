"""Who met an item of late, and what else they met: read from the store, so it is fresh and holds nobody who was erased."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tastemaker.serve.view import View
from tastemaker.store.base import SILENT, Done, Store

EVENTS_OF_ITEM = 200
"""Newest events of an item that are looked at."""
USERS = 500
"""Users that are looked at, those with most items in common first."""
HISTORY = 100
"""Newest events of each."""


def met_by(store: Store, item_ids: Iterable[str]) -> dict[str, set[str]]:
    """The users of the newest events of each item: items by user id."""
    users: dict[str, set[str]] = {}
    for item_id in item_ids:
        for event in store.events(item_id=item_id, limit=EVENTS_OF_ITEM).rows:
            if event.kind not in SILENT:
                users.setdefault(event.user_id, set()).add(item_id)
    return users


def nearest(users: dict[str, set[str]], limit: int = USERS) -> list[str]:
    """User ids with most items in common, ties by id."""
    return sorted(users, key=lambda user: (-len(users[user]), user))[:limit]


def together(store: Store, item_ids: Iterable[str], view: View, popular: np.ndarray) -> np.ndarray:
    """How much more often than by chance items are met by the users of the given ones, float32 (size,); -inf where never.

    The score of an item is the users it shares with the given items, divided by the root of its events: the cosine of the sets of
    users, up to a factor that is the same for all items.
    """
    users = nearest(met_by(store, item_ids))
    counts = np.zeros(view.size, np.float32)
    for history in store.histories(users, HISTORY) if users else []:
        counts[list(distinct(history, view))] += 1
    return np.where(counts > 0, counts / np.sqrt(np.maximum(np.maximum(popular, counts), 1)), -np.inf).astype(np.float32)


def distinct(history: list[Done], view: View) -> set[int]:
    """The codes of a history."""
    return {code for event in history if (code := view.code(event.item_id)) is not None}
