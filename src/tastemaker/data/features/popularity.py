"""Popularity at a moment: how often an item was used in the hours before, counted the way a store counts it.

A window of W hours at time t is the W whole hours that end with the hour of t: what happened within that hour is not known yet, so the
figures stand still for an hour and are the same whoever asks. Of a user, item and kind only the newest three events count, as in
`store.tally`: nobody alone makes a bestseller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tastemaker.data.interactions import Interactions
from tastemaker.store.tally import HOUR, PER_USER

EVER = 0
"""The window that begins with the first event."""


class Popularity(Protocol):
    """Who knows how often items were used."""

    def counts(self, items: np.ndarray, at: np.ndarray, hours: int) -> np.ndarray:
        """Events of each item in the `hours` (`EVER`: all) before its moment: int32 (n,) codes, int64 (n,) µs → float64 (n,)."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Popularity at any moment of the past, from interactions: each count is a difference of two binary searches."""

    starts: dict[int, np.ndarray]
    """by window: sorted keys (item, hour) from which on an event counts"""
    ends: dict[int, np.ndarray]
    """the same, from which on it no longer does"""

    @classmethod
    def of(cls, interactions: Interactions, windows: tuple[int, ...]) -> Tally:
        """Counts of all that happened, for windows of so many hours."""
        hours = interactions.time // HOUR
        order = np.lexsort((interactions.time, interactions.kind, interactions.item, interactions.user))
        same = np.ones(max(0, len(order) - PER_USER), bool)
        for column in (interactions.user, interactions.item, interactions.kind):
            sorted_column = column[order]
            same &= sorted_column[PER_USER:] == sorted_column[:-PER_USER]
        displaced = np.full(len(order), np.iinfo(np.int64).max // 2, np.int64)
        later = order[PER_USER:]
        displaced[order[: len(later)][same]] = hours[later[same]] + 1
        starts = np.sort(_keys(interactions.item, hours + 1))
        ends = {
            width: np.sort(_keys(interactions.item, displaced if width == EVER else np.minimum(displaced, hours + 1 + width)))
            for width in windows
        }
        return cls(dict.fromkeys(windows, starts), ends)

    def counts(self, items: np.ndarray, at: np.ndarray, hours: int) -> np.ndarray:
        keys = _keys(items, at // HOUR)
        begun, over = (np.searchsorted(side[hours], keys, "right") for side in (self.starts, self.ends))
        before = [
            np.searchsorted(side[hours], _keys(items, np.full(len(items), _FIRST)), "left") for side in (self.starts, self.ends)
        ]
        return ((begun - before[0]) - (over - before[1])).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Popularity as it was at one moment, whatever moment is asked about."""

    by_window: dict[int, np.ndarray]
    """float64 (items,), by code"""

    def counts(self, items: np.ndarray, at: np.ndarray, hours: int) -> np.ndarray:
        return self.by_window[hours][items]


@dataclass(frozen=True, eq=False)
class AtLeast:
    """Popularity of which it is known that there were more events than those that are counted."""

    counted: Popularity
    ever: np.ndarray
    """float64 (items,): events of each item that there were at least, by code; further items have none"""

    def counts(self, items: np.ndarray, at: np.ndarray, hours: int) -> np.ndarray:
        found = self.counted.counts(items, at, hours)
        if hours != EVER:
            return found
        return np.maximum(found, np.where(items < len(self.ever), self.ever[np.where(items < len(self.ever), items, 0)], 0.0))


_FIRST, _SPAN = -(1 << 25), 1 << 26
"""Hours lie within 3,800 years of 1970."""


def _keys(items: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """One number for an item and an hour, ordered by both."""
    return items.astype(np.int64) * _SPAN + (np.clip(hours, _FIRST, -_FIRST - 1) - _FIRST)
