"""Lists that are the same for everybody: popular, trending, latest.

| list | score of an item |
|---|---|
| popular | its events in the window; a user adds at most 3 |
| trending | (r - e) / √(e + 5): r its events in the window, e those expected of it by the window before, so that items with few events need more than chance |
| latest | when it became available, or was last changed for those without such a date |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field

import numpy as np

from tastemaker.errors import StoreError
from tastemaker.log import logger
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.view import View
from tastemaker.store.base import Store

_DAY = 86_400_000_000
_SMOOTHING = 5.0
_WINDOWS = 16
"""Counts of this many windows are held."""


@dataclass(eq=False)
class Counts:
    """Events of each item in a window."""

    ids: list[str]
    numbers: np.ndarray
    """float32, as `ids`"""
    taken: float
    """`time.monotonic()` when they were asked for"""
    laid: tuple[int, int, np.ndarray] | None = field(default=None)

    def over(self, view: View) -> np.ndarray:
        """The counts by code, float32 (size,)."""
        laid = self.laid
        if laid is not None and laid[0] == view.base and laid[1] == view.size:
            return laid[2]
        codes = np.fromiter((view.codes.get(item, 0) for item in self.ids), np.int64, len(self.ids))
        codes[codes >= view.size] = 0
        line = np.zeros(view.size, np.float32)
        line[codes] = self.numbers
        line[0] = 0
        self.laid = (view.base, view.size, line)
        return line


class Shelves:
    """Counts of the store, held for some seconds; an older one serves while a new one is on its way, however long that takes."""

    def __init__(self, store: Store, settings: ServeSettings, clock: Callable[[], int]) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._held: dict[tuple[int, int], Counts] = {}
        self._asked: dict[tuple[int, int], Future[Counts]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="counts")
        self._blended: tuple[np.ndarray, int, np.ndarray] | None = None

    def begin(self) -> None:
        """Has the default window counted, and does not wait for it."""
        self._ask((round(self._settings.popular_days * 86_400), 0))

    def close(self) -> None:
        """Stops counting."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def popular(self, view: View, window_seconds: float | None) -> tuple[np.ndarray, bool]:
        """Scores float32 (size,), and whether they are as fresh as they should be.

        Ties, and a store without events, are decided by the events the artifact knows of.
        """
        window = self._settings.popular_days * 86_400 if window_seconds is None else window_seconds
        counts, fresh = self._counts(window, 0.0)
        line = np.zeros(view.size, np.float32) if counts is None else counts.over(view)
        blended = self._blended
        if blended is not None and blended[0] is line and blended[1] == view.number:
            return blended[2], fresh
        result = line + self._artifact(view)
        self._blended = (line, view.number, result)
        return result, fresh

    def trending(self, view: View, window_seconds: float | None) -> tuple[np.ndarray, bool]:
        """As `popular`."""
        window = self._settings.trending_days * 86_400 if window_seconds is None else window_seconds
        (recent, fresh), (before, also) = self._counts(window, 0.0), self._counts(window, window)
        now_line = np.zeros(view.size, np.float32) if recent is None else recent.over(view)
        old_line = np.zeros(view.size, np.float32) if before is None else before.over(view)
        scale = (now_line.sum() + 1) / (old_line.sum() + 1)
        expected = np.minimum(scale, 1.0) * old_line
        return ((now_line - expected) / np.sqrt(expected + _SMOOTHING)).astype(np.float32), fresh and also

    def latest(self, view: View) -> np.ndarray:
        """Scores float32 (size,): ranks, since float32 cannot hold times."""
        opens, changed = view.stock.opens[view.rows], view.stock.changed[view.rows]
        order = np.lexsort((-np.arange(view.size), np.where(opens > 0, opens, changed), opens > 0))
        line = np.empty(view.size, np.float32)
        line[order] = np.arange(view.size)
        return line

    def refresh(self) -> None:
        """Counts the default window anew if it is old; for a thread that may wait."""
        self._counts(self._settings.popular_days * 86_400, 0.0, wait=True)

    def _artifact(self, view: View) -> np.ndarray | float:
        """Events known to the artifact as a share below 1, so that they break ties and fill an empty store's list."""
        if view.recommender is None:
            return 0.0
        line = np.zeros(view.size, np.float32)
        events = view.recommender.events
        line[: len(events)] = events / (events.sum() + 1.0)
        line[:2] = 0
        return line

    def _counts(self, window_seconds: float, lag_seconds: float, *, wait: bool = False) -> tuple[Counts | None, bool]:
        key = (round(window_seconds), round(lag_seconds))
        held = self._held.get(key)
        if held is not None and time.monotonic() - held.taken < self._settings.popular_refresh_seconds:
            return held, True
        future = self._ask(key)
        if future is None:
            return held, False
        if held is not None and not wait and not future.done():
            return held, time.monotonic() - held.taken < 3 * self._settings.popular_refresh_seconds
        try:
            return future.result(timeout=60.0 if wait else self._settings.store_budget_ms / 1000), True
        except (FutureTimeout, StoreError):
            return held, False

    def _ask(self, key: tuple[int, int]) -> Future[Counts] | None:
        """The count that is under way, or a new one; None once this is closed."""
        with self._lock:
            if key not in self._asked:
                try:
                    self._asked[key] = self._pool.submit(self._count, key)
                except RuntimeError:
                    return None
            return self._asked[key]

    def _count(self, key: tuple[int, int]) -> Counts:
        taken, now = time.monotonic(), self._clock()
        try:
            since = now - (key[0] + key[1]) * 1_000_000
            found = self._store.counts(since, now - key[1] * 1_000_000 if key[1] else None)
            counts = Counts(list(found), np.fromiter(found.values(), np.float32, len(found)), taken)
            with self._lock:
                self._held[key] = counts
                while len(self._held) > _WINDOWS:
                    del self._held[min(self._held, key=lambda one: self._held[one].taken)]
            return counts
        except Exception as error:
            logger.warning("events not counted: %s", type(error).__name__)
            raise error if isinstance(error, StoreError) else StoreError("the store failed") from error
        finally:
            with self._lock:
                self._asked.pop(key, None)
