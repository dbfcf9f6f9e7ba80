"""Crowd: how often items were used in the hours before, for rankers that read it; counted behind the back of requests.

The figures are those of `data.features.popularity`: whole hours that end with the hour of the request, so they are counted once an hour. Until
a new hour is counted, which begins within a second of its start, the figures of the hour before serve; before the first count, the artifact's.
What comes in late, with a time in an hour that is counted already, is not counted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tastemaker.data.features.popularity import EVER, Popularity
from tastemaker.errors import TastemakerError
from tastemaker.log import logger
from tastemaker.serve.shelves import Codes
from tastemaker.serve.view import View
from tastemaker.store.base import Store
from tastemaker.store.tally import HOUR

_BEGINNING = -(1 << 54)
"""µs: before all events"""


@dataclass(eq=False)
class Laid:
    """Counts by the codes of one vocabulary and its newcomers; what is in it is replaced each hour."""

    base: int
    """of the views whose codes these are"""
    artifact: Popularity
    as_of: int
    """µs: when the artifact's data ended"""
    known: int
    """codes that the artifact has counts of"""
    by_window: dict[int, np.ndarray] = field(default_factory=dict)
    """float64 (codes,); empty before the first count"""

    def counts(self, items: np.ndarray, at: np.ndarray, hours: int) -> np.ndarray:
        """See `Popularity`; items that came after the last count have none."""
        held = self.by_window.get(hours)
        if held is None:
            held = _of_artifact(self, hours)
        return held[np.where(items < len(held), items, 0)]


class Crowd:
    """Counts of the store by the hour."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._codes = Codes(store)
        self._counting = threading.Lock()
        self._hour: int | None = None
        self._counts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        """by window: the store's numbers of items, and events of each"""

    def laid(self, view: View, before: Laid | None) -> Laid:
        """Counts in the codes of a view, which may have grown since `before`."""
        assert view.recommender is not None and view.recommender.stages is not None
        found = before
        if found is None or found.base != view.base:
            stages = view.recommender.stages
            found = Laid(view.base, stages.moments.popularity, stages.as_of, view.known)
        self._lay(found, view)
        return found

    def refresh(self, view: View) -> None:
        """Counts the hour before this one if it is not counted; for a thread that may wait. A store that fails leaves what there was."""
        if view.stages is None or not isinstance(laid := view.stages.moments.popularity, Laid):
            return
        windows = view.stages.moments.config.popularity
        with self._counting:
            hour = self._clock() // HOUR
            if hour != self._hour or not set(windows) <= set(self._counts):
                try:
                    self._count(hour, windows)
                except TastemakerError as error:
                    logger.warning("popularity not counted: %s", type(error).__name__)
                    return
            self._lay(laid, view)

    def _count(self, hour: int, windows: tuple[int, ...]) -> None:
        until = hour * HOUR
        found = {}
        for width in windows:
            since = _BEGINNING if width == EVER else until - width * HOUR
            found[width] = self._store.tallies(since, until)
        late, times = self._store.displaced(until)
        for width, (keys, numbers) in found.items():
            inside = late if width == EVER else late[times // HOUR >= hour - width]
            merged, places = np.unique(np.concatenate([keys, inside]), return_inverse=True)
            found[width] = merged, np.bincount(places, np.concatenate([numbers, np.ones(len(inside))]), len(merged))
        self._codes.meet(np.unique(np.concatenate([keys for keys, _ in found.values()])))
        self._hour, self._counts = hour, found

    def _lay(self, laid: Laid, view: View) -> None:
        """What was counted last, by code, and of all events no fewer than the artifact knows of."""
        by_window = {}
        for width, (keys, numbers) in self._counts.items():
            line = np.zeros(view.size)
            line[self._codes.of(view, keys)] = numbers
            line[0] = 0
            if width == EVER:
                line[: laid.known] = np.maximum(line[: laid.known], _of_artifact(laid, EVER))
            by_window[width] = line
        laid.by_window = by_window


def _of_artifact(laid: Laid, hours: int) -> np.ndarray:
    everything = np.arange(laid.known, dtype=np.int32)
    return laid.artifact.counts(everything, np.full(len(everything), laid.as_of), hours)
