"""Survey: what the lists of the catalogue are ordered by, counted for all items at once and held for some seconds.

Whatever depends on the moment (hidden, expired, deleted) is not in here but read from the stock at each request.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.log import logger
from tastemaker.recommend.filters.columns import FALSE
from tastemaker.serve.outcomes import Outcomes
from tastemaker.serve.shelves import WINDOWS, Shelves
from tastemaker.serve.stock import Stock
from tastemaker.serve.view import View

EVER = float(WINDOWS[-1])
_PATIENCE_SECONDS = 10.0
_SOON_SECONDS = 1.0
"""After so long one is taken anew for which the store did not answer in time."""
_REST = 20
"""A survey is taken anew no sooner than so many times as long as it took."""
_HELD = 6
"""Surveys that cursors may go on in."""

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Reach:
    """What became of the items that answers showed, by code of a view."""

    shown: np.ndarray
    """int64 (size,): times it was in an answer"""
    clicked: np.ndarray
    """int64 (size,): times it was taken up from there"""
    window_seconds: float
    counted_at: int
    """µs"""

    @classmethod
    def of(cls, outcomes: Outcomes, view: View) -> Reach | None:
        """What is counted of the items of a view; None before the first count."""
        since, at = outcomes.window()
        if not at:
            return None
        ids, numbers = outcomes.items()
        codes = np.fromiter((view.codes.get(item, 0) for item in ids), np.int64, len(ids))
        known = (codes > 0) & (codes < view.size)
        lines = np.zeros((2, view.size), np.int64)
        lines[:, codes[known]] = numbers[:, known]
        return cls(lines[0], lines[1], 0.0 if since is None else (at - since) / 1e6, at)


@dataclass(frozen=True, eq=False)
class Survey:
    """Counts by row of the stock; rows that came later have none."""

    number: int
    base: int
    """of the views whose codes it knows"""
    counted_at: int
    """µs"""
    fresh: bool
    """whether the store could be asked"""
    events: np.ndarray
    """float32 (rows,): in the window of the popular list"""
    ever: np.ndarray
    """float32 (rows,): of all time, those that the artifact knows of included"""
    known: np.ndarray
    """bool (rows,): whether the model was trained with it"""
    shown: np.ndarray | None
    clicked: np.ndarray | None
    """int64 (rows,); None where answers are not counted"""
    reach_seconds: float | None
    reach_counted_at: int | None
    categories: list[tuple[str, int]]
    """names and how many items that are not deleted have each, most first"""
    seconds: float
    """it took"""
    taken: float
    """`time.monotonic()`"""
    _orders: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def places(self, sort: str, rows: np.ndarray) -> np.ndarray:
        """The place of rows in an order over all items, int64, each another; rows that came since are the newest and least popular."""
        order = self._orders.get(sort)
        if order is None:
            order = self._orders[sort] = _places(self._values(sort))
        found = np.where(rows < len(order), order[np.minimum(rows, len(order) - 1)], 0).astype(np.int64)
        late = rows >= len(order)
        found[late] = -rows[late] if sort == "newest" else rows[late]
        return found

    def at(self, line: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Of rows what a line of this survey says; 0 for those that came since."""
        found = line[np.minimum(rows, len(line) - 1)]
        found[rows >= len(line)] = 0
        return found

    def _values(self, sort: str) -> np.ndarray:
        if sort == "reach" and self.shown is not None:
            return self.shown + self._tie
        return self._when if sort == "newest" else self.events + self._tie

    _when: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _tie: np.ndarray = field(default_factory=lambda: np.zeros(0))


class Surveys:
    """Takes surveys when they are asked for and old, behind the back of whoever asks unless there is none."""

    def __init__(self, shelves: Shelves, reach: Callable[[View], Reach | None], clock: Callable[[], int]) -> None:
        self._shelves, self._reach, self._clock = shelves, reach, clock
        self._lock, self._held = threading.Lock(), list[Survey]()
        self._thread: threading.Thread | None = None

    def of(self, view: View, number: int | None = None) -> Survey:
        """A survey in the codes of a view: the one of a number where it is still held, else the newest."""
        mine = [one for one in self._held if one.base == view.base]
        if number is not None and (same := next((one for one in mine if one.number == number), None)) is not None:
            return same
        if not mine:
            with self._lock:
                mine = [one for one in self._held if one.base == view.base]
                return mine[-1] if mine else self._take(view)
        newest = mine[-1]
        patience = max(_PATIENCE_SECONDS, _REST * newest.seconds) if newest.fresh else _SOON_SECONDS
        if time.monotonic() - newest.taken > patience:
            self._begin(view)
        return newest

    def take(self, view: View) -> Survey:
        """A new survey."""
        with self._lock:
            return self._take(view, wait=True)

    def close(self) -> None:
        """Waits for the one under way."""
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _begin(self, view: View) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._try, args=(view,), name="survey", daemon=True)
        self._thread.start()

    def _try(self, view: View) -> None:
        try:
            self.take(view)
        except Exception:  # the last one serves on
            logger.exception("catalogue not surveyed")

    def _take(self, view: View, *, wait: bool = False) -> Survey:
        started, stock = time.monotonic(), view.stock
        counted_at, number = self._clock(), next(_numbers)
        ever, also = self._shelves.events(view, EVER, wait=wait)
        events, fresh = self._shelves.events(view, wait=wait)
        popular, reach = self._shelves.popular(view, None)[0], self._reach(view)
        ever = ever.copy()
        if view.recommender is not None:
            ever[: view.known] = np.maximum(ever[: view.known], view.recommender.events[: view.known])

        def by_row(line: np.ndarray) -> np.ndarray:
            found = np.zeros(len(stock), line.dtype)
            found[view.rows[FIRST:]] = line[FIRST : len(view.rows)]
            found[0] = 0
            return found

        tie = by_row((popular - events).astype(np.float64))
        survey = Survey(
            number=number,
            base=view.base,
            counted_at=counted_at,
            fresh=fresh and also,
            events=by_row(events),
            ever=by_row(ever),
            known=by_row(np.arange(view.size) < view.known),
            shown=None if reach is None else by_row(reach.shown),
            clicked=None if reach is None else by_row(reach.clicked),
            reach_seconds=None if reach is None else reach.window_seconds,
            reach_counted_at=None if reach is None else reach.counted_at,
            categories=_categories(stock),
            seconds=time.monotonic() - started,
            taken=started,
            _when=np.where(stock.opens > 0, stock.opens, stock.changed).astype(np.float64) + (stock.opens > 0) * 2.0**60,
            _tie=np.clip(tie, 0.0, 0.999),
        )
        self._held = [*self._held, survey][-_HELD:]
        return survey


def _places(values: np.ndarray) -> np.ndarray:
    """The place of each value from the largest on, int64; of equal ones the earlier comes first."""
    places = np.empty(len(values), np.int64)
    places[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return places


def _categories(stock: Stock) -> list[tuple[str, int]]:
    column = stock.columns.fields["category"]
    rows = np.repeat(np.arange(len(stock)), np.diff(column.offsets))
    tokens = column.tokens[~stock.deleted[rows]]
    counts = np.bincount(tokens, minlength=FALSE) if len(tokens) else np.zeros(FALSE, np.int64)
    names = column.words.values
    found = [(str(names[code]), int(counts[code])) for code in np.flatnonzero(counts).tolist()]
    return sorted(found, key=lambda one: (-one[1], one[0]))
