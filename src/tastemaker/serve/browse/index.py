"""Index: the words of the whole catalogue, in segments; what changed since is taken in before each search.

A few changed items make a segment of their own within the search that comes upon them. More of them, such as the whole catalogue to begin
with, are taken in by a thread, part by part; until it is done a search sees a part, and says how much. The thread also merges small
segments into larger ones, so that an item is laid out anew a few times in its life.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tastemaker.log import logger
from tastemaker.serve.browse.segment import EXACT, Segment
from tastemaker.serve.browse.words import words_of
from tastemaker.serve.stock import Stock

_AT_ONCE = 2000
"""Changed items that a search takes in by itself."""
_PART = 25_000
"""Items that the thread takes in at a time; it takes a third of a second."""
_RATIO, _LARGEST = 4, 250_000
"""Segments are merged with smaller ones of at least a quarter of their items together, into one of so many items at most: a second's work."""
_REST = 1.0
"""The thread rests so many times as long as it worked: taking a catalogue in is not to cost a core."""


@dataclass(frozen=True, eq=False)
class Found:
    """What matches a query."""

    rows: np.ndarray
    """int64 (found,): of the stock"""
    tiers: np.ndarray
    """uint8 (found,): how well, 0 for best; see `segment`"""
    searched: int
    """items that were looked at; fewer than there are while the catalogue is being taken in"""


class Index:
    """Finds items by words; safe to use from several threads."""

    def __init__(self, stock: Callable[[], Stock]) -> None:
        """`stock` gives the catalogue of the moment."""
        self._stock = stock
        self._lock, self._working = threading.RLock(), threading.Lock()
        self._segments: list[tuple[Segment, np.ndarray | None]] = []
        """each with which of its places still hold: bool, None for all"""
        self._owner, self._place = np.zeros(1, np.int64), np.zeros(1, np.int64)
        """by row: the segment that has it, by `id`, and its place there"""
        self._taken = np.zeros(1, np.int64)
        """by row: the put that it was taken in from, see `Stock.put_by`"""
        self._checked: Stock | None = None
        self._pending = np.zeros(0, np.int64)
        """rows that are to be taken in"""
        self._told, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Has the thread look whether there is work; nothing costs anything before that."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._work, name="words", daemon=True)
                self._thread.start()
        self._told.set()

    def close(self) -> None:
        """Stops the thread."""
        self._closed.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def nbytes(self) -> int:
        """Memory it takes, but for the catalogue's own."""
        with self._lock:
            parts, rows = list(self._segments), self._owner.nbytes + self._place.nbytes + self._taken.nbytes
        return rows + sum(segment.nbytes + (0 if alive is None else alive.nbytes) for segment, alive in parts)

    @property
    def waiting(self) -> int:
        """Items of the present catalogue that are not taken in."""
        with self._lock:
            self._look()
            return len(self._pending)

    def find(self, query: str) -> Found:
        """The items that match all words of a query, and the one whose id it is."""
        words = words_of(query)
        with self._lock:
            stock = self._look()
            if 0 < len(self._pending) <= _AT_ONCE:
                self._take(stock)
            if len(self._pending) or len(self._segments) > 1:
                self.begin()
            segments, waiting = list(self._segments), len(self._pending)
        rows, tiers = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
        for segment, alive in segments if words else ():
            places, how = segment.find(words)
            if alive is not None:
                places, how = places[alive[places]], how[alive[places]]
            rows.append(segment.rows[places])
            tiers.append(how)
        found, ways = np.concatenate(rows), np.concatenate(tiers)
        same = stock.rows.get(query, 0)
        if 0 < same < len(stock):
            found, ways = np.append(found[found != same], same), np.append(ways[found != same], np.uint8(EXACT))
        return Found(found, ways, len(stock) - 1 - waiting)

    def catch_up(self) -> None:
        """Takes in and merges whatever there is to; for who may take the time."""
        while self._step():
            pass

    def _look(self) -> Stock:
        """The catalogue of the moment, after a look at which of its rows are not taken in as they are."""
        stock = self._stock()
        if stock is not self._checked:
            more = np.zeros(max(0, len(stock) - len(self._owner)), np.int64)
            self._owner, self._place = np.concatenate([self._owner, more]), np.concatenate([self._place, more])
            self._taken = np.concatenate([self._taken, more])
            self._checked, self._pending = stock, np.flatnonzero(stock.put_by != self._taken[: len(stock)])
        return stock

    def _take(self, stock: Stock) -> None:
        """Takes in what is pending."""
        rows = self._pending
        self._install(rows, stock.put_by[rows], Segment.of(rows, [stock.items[row] for row in rows.tolist()]))

    def _install(self, rows: np.ndarray, puts: np.ndarray, made: Segment) -> None:
        for place, (segment, alive) in enumerate(self._segments):
            mine = rows[self._owner[rows] == id(segment)]
            if len(mine):
                alive = np.ones(len(segment), bool) if alive is None else alive.copy()
                alive[self._place[mine]] = False
                self._segments[place] = segment, alive
        self._segments.append((made, None))
        self._owner[rows], self._place[rows], self._taken[rows] = id(made), np.arange(len(rows)), puts
        self._checked = None  # while it was made there may have been other changes

    def _step(self) -> bool:
        """Takes in a part or merges some; whether there was anything to do."""
        with self._working:
            with self._lock:
                stock = self._look()
                rows = self._pending[:_PART]
            if not len(rows):
                return self._merge()
            puts = stock.put_by[rows]
            made = Segment.of(rows, [stock.items[row] for row in rows.tolist()])  # nobody who searches waits meanwhile
            with self._lock:
                newer = self._taken[rows] > puts  # a search was faster, and later
                if newer.any():
                    keep = np.flatnonzero(~newer)
                    made, rows, puts = Segment.merged([(made, ~newer)]), rows[keep], puts[keep]
                self._install(rows, puts, made)
            return True

    def _merge(self) -> bool:
        with self._lock:
            chosen = _small([len(segment) if alive is None else int(alive.sum()) for segment, alive in self._segments])
            parts = [self._segments[place] for place in chosen]
        if not parts:
            return False
        made = Segment.merged(parts)
        with self._lock:
            still = np.zeros(len(self._owner), bool)  # some may have been put meanwhile
            for place in chosen:
                segment, alive = self._segments[place]
                still[segment.rows if alive is None else segment.rows[alive]] = True
            alive = still[made.rows]
            mine = np.flatnonzero(alive)
            self._owner[made.rows[mine]], self._place[made.rows[mine]] = id(made), mine
            rest = [one for place, one in enumerate(self._segments) if place not in chosen]
            self._segments = [*rest, (made, None if alive.all() else alive)]
        return True

    def _work(self) -> None:
        while not self._closed.is_set():
            self._told.wait()
            self._told.clear()
            more = True
            while more and not self._closed.is_set():
                started = time.monotonic()
                try:
                    more = self._step()
                except Exception:  # the next search asks again
                    logger.exception("words not taken in")
                    more = False
                self._closed.wait(_REST * (time.monotonic() - started))


def _small(sizes: list[int]) -> list[int]:
    """Places of the segments to merge, so that few are left: the smallest, up to `_LARGEST` items and none much larger than the rest."""
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    total, most = 0, 0
    for count, place in enumerate(order, start=1):
        if total + sizes[place] > _LARGEST:
            break
        if count > 1 and sizes[place] < _RATIO * max(1, total):
            most = count
        total += sizes[place]
    return order[:most]
