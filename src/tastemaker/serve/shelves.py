"""Lists that are the same for everybody: popular, trending, latest.

| list | score of an item |
|---|---|
| popular | its events in the window; a user adds at most 3 |
| trending | (r - e) / √(e + 5): r its events in the window, e those expected of it by the window before, so that items with few events need more than chance |
| latest | when it became available, or was last changed for those without such a date |

Counting a window takes a quarter of a second of a core in a store of 20 million events, nearly all of it in the database, where requests do
not wait for it. So the windows that are asked for are rounded up to those of `WINDOWS`, each is counted anew no sooner than `_REST`
times as long as it took, and one thread counts: whatever is asked, counting takes no more than one core, and memory for 36 windows.
"""

from __future__ import annotations

import itertools
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
WINDOWS = (
    *(hours * 3600 for hours in (1, 2, 3, 6, 12)),
    *(days * 86_400 for days in (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)),
    320_000_000,
)
"""Seconds: the windows there are, besides those of the settings; the last is ten years."""
_HELD = 2 * (len(WINDOWS) + 2)
"""Counts of this many windows are held: each, those of the settings, and the one before each for what is trending."""
_REST = 50


@dataclass(eq=False)
class Counts:
    """Events of each item in a window."""

    keys: np.ndarray
    """int64 (items,): the store's numbers of the items"""
    numbers: np.ndarray
    """float32 (items,)"""
    taken: float
    """`time.monotonic()` when they were asked for"""
    took: float
    """seconds"""
    laid: tuple[int, int, np.ndarray] | None = field(default=None)


class Codes:
    """The code that each item has in a view, by the store's number of the item: looked up by its id once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids = np.zeros(0, object)
        """by number; 0 where not asked for yet"""
        self._known: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))
        """the base of a view, and codes by number, 0 where there is none"""
        self._lock = threading.Lock()

    def meet(self, keys: np.ndarray) -> None:
        """Asks the store who these are, where that is not known yet; for the one thread that counts.

        No lock is held meanwhile: a store that does not answer is to halt no list.
        """
        ids = _grown(self._ids, keys)
        fresh = keys[ids[keys] == 0]
        ids[fresh] = self._store.item_ids(fresh.tolist())
        self._ids = ids

    def of(self, view: View, keys: np.ndarray) -> np.ndarray:
        """int64 (keys,): the code of each in a view, 0 where it has none; for numbers that were met."""
        with self._lock:
            base, codes = self._known
            codes = _grown(codes if base == view.base else np.zeros(0, np.int64), keys)
            missing = keys[codes[keys] == 0]
            codes[missing] = np.fromiter(map(view.codes.get, self._ids[missing], itertools.repeat(0)), np.int64, len(missing))
            self._known = view.base, codes
        found = codes[keys]
        found[found >= view.size] = 0
        return found


def _grown(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """A table with room for these keys."""
    highest = int(keys.max(initial=-1))
    if highest < len(table):
        return table
    return np.concatenate([table, np.zeros(highest + 1 + highest // 4 - len(table), table.dtype)])


def rounded(window_seconds: float) -> int:
    """The shortest of `WINDOWS` that holds a window."""
    return next((one for one in WINDOWS if one >= window_seconds), WINDOWS[-1])


class Shelves:
    """Counts of the store, held for some seconds; an older one serves while a new one is on its way, however long that takes."""

    def __init__(self, store: Store, settings: ServeSettings, clock: Callable[[], int]) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._own = {round(days * 86_400) for days in (settings.popular_days, settings.trending_days)}
        self._held: dict[tuple[int, int], Counts] = {}
        self._asked: dict[tuple[int, int], Future[Counts]] = {}
        self._lock = threading.Lock()
        self._codes = Codes(store)
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
        window = self._settings.popular_days * 86_400 if window_seconds is None else rounded(window_seconds)
        counts, fresh = self._counts(window, 0.0)
        line = self._line(counts, view)
        blended = self._blended
        if blended is not None and blended[0] is line and blended[1] == view.number:
            return blended[2], fresh
        result = line + self._artifact(view)
        self._blended = (line, view.number, result)
        return result, fresh

    def events(self, view: View, window_seconds: float | None = None, *, wait: bool = False) -> tuple[np.ndarray, bool]:
        """Events of each item in a window, float32 (size,), as the store has counted them, and whether that is fresh.

        With `wait` an old count is made anew first.
        """
        window = self._settings.popular_days * 86_400 if window_seconds is None else rounded(window_seconds)
        counts, fresh = self._counts(window, 0.0, wait=wait)
        return self._line(counts, view), fresh

    def trending(self, view: View, window_seconds: float | None) -> tuple[np.ndarray, bool]:
        """As `popular`."""
        window = self._settings.trending_days * 86_400 if window_seconds is None else rounded(window_seconds)
        (recent, fresh), (before, also) = self._counts(window, 0.0), self._counts(window, window)
        now_line, old_line = self._line(recent, view), self._line(before, view)
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

    def _line(self, counts: Counts | None, view: View) -> np.ndarray:
        """The counts by code, float32 (size,)."""
        if counts is None:
            return np.zeros(view.size, np.float32)
        laid = counts.laid
        if laid is not None and laid[:2] == (view.base, view.size):
            return laid[2]
        line = np.zeros(view.size, np.float32)
        line[self._codes.of(view, counts.keys)] = counts.numbers
        line[0] = 0
        counts.laid = (view.base, view.size, line)
        return line

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
        held, patience = self._held.get(key), self._settings.popular_refresh_seconds
        if held is not None and key[0] not in self._own:
            patience = max(patience, _REST * held.took)
        if held is not None and time.monotonic() - held.taken < patience:
            return held, True
        future = self._ask(key)
        if future is None:
            return held, False
        if held is not None and not wait and not future.done():
            return held, time.monotonic() - held.taken < 3 * patience
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
            keys, numbers = self._store.tallies(since, now - key[1] * 1_000_000 if key[1] else None)
            self._codes.meet(keys)
            counts = Counts(keys, numbers.astype(np.float32), taken, time.monotonic() - taken)
            with self._lock:
                self._held[key] = counts
                while len(self._held) > _HELD:
                    del self._held[min(self._held, key=lambda one: self._held[one].taken)]
            return counts
        except Exception as error:
            logger.warning("events not counted: %s", type(error).__name__)
            raise error if isinstance(error, StoreError) else StoreError("the store failed") from error
        finally:
            with self._lock:
                self._asked.pop(key, None)
