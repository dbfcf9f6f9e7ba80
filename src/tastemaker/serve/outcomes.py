"""Outcomes: what recommendations earned - which answers were clicked, which led to a purchase, what was shown how often.

```
store.answers ──▶ followed by sequence ──▶ per day, model and scenario: answers, clicked, bought      per item: shown, clicked
store.events that point at an answer ──────┘
```

The unit is the answer: it counts as clicked once, however many of its items were. Answers and events are followed as they come in, in
the background; of a store with more than `MOST` answers the newest are counted. No user ids are held.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from tastemaker.store.base import SILENT, Store

MOST = 200_000
"""Answers held so that events find theirs."""
_ROUND = 20_000
"""Answers read in one go, so that whoever reads does not keep others waiting."""
_EVENTS = 5_000_000
"""Newest events looked through for those that point at an answer, to begin with."""
_LATE = 1000
_DAY = 86_400_000_000
_DAYS = 60


@dataclass(frozen=True, slots=True)
class Share:
    """A share of answers, with its Wilson interval."""

    value: float | None
    low: float | None
    high: float | None
    """95 %; all None without an answer"""
    of: int

    @classmethod
    def wilson(cls, count: int, of: int) -> Share:
        """`count` of `of`."""
        from tastemaker.evaluate.calibration import wilson  # a service that starts does without what judges

        if not of:
            return cls(None, None, None, 0)
        low, high = wilson(np.array([count]), np.array([of]))
        return cls(count / of, float(low[0]), float(high[0]), of)


@dataclass(slots=True)
class Tally:
    """Answers of a day, a model and a scenario."""

    answers: int = 0
    clicked: int = 0
    bought: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.answers + other.answers, self.clicked + other.clicked, self.bought + other.bought)


Group = tuple[int, str, str]
"""Day (µs of its begin), source of the answer ("sasrec/17", "popular"), scenario or ''"""


@dataclass(slots=True)
class _Given:
    group: Group
    clicked: bool = False
    bought: bool = False


@dataclass(slots=True)
class Reach:
    """How often an item was shown, and clicked where it was shown."""

    shown: int = 0
    clicked: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known at a moment."""

    since: int | None
    """µs: time of the oldest answer counted"""
    at: int
    """µs: when it was counted"""
    tallies: dict[Group, Tally] = field(default_factory=dict)

    def total(self, since: int = 0, source: str | None = None, scenario: str | None = None) -> Tally:
        """Of all days from `since` (µs) on, of one source and scenario or all."""
        found = Tally()
        for (day, by, where), tally in self.tallies.items():
            if day + _DAY > since and source in (None, by) and scenario in (None, where):
                found += tally
        return found


class Outcomes:
    """Follows a store's answers and the events that point at them; from any thread."""

    def __init__(self, store: Store, clock: Callable[[], int], purchases: Collection[str], *, most: int = MOST) -> None:
        """Kinds of events in `purchases` are purchases; any kind is a click, but for `SILENT` ones and impressions."""
        self._store, self._clock, self._purchases, self._most = store, clock, frozenset(purchases), most
        self._given: OrderedDict[str, _Given] = OrderedDict()
        self._tallies: dict[Group, Tally] = {}
        self._items: dict[str, Reach] = {}
        self._early: OrderedDict[str, list[tuple[str, str]]] = OrderedDict()
        """events that came before the answer they point at was kept"""
        self._since: int | None = None
        self._at = 0
        self._after: tuple[int, int] | None = None
        """sequences of the last answer and of the last event read"""
        self._read: OrderedDict[int, None] = OrderedDict()
        """sequences of late, for an event may be seen before one of a lower sequence"""
        self._turn, self._lock = threading.Lock(), threading.Lock()

    def refresh(self) -> bool:
        """Reads what is new; whether there is more to read."""
        with self._turn:
            return self._read_on()

    def _read_on(self) -> bool:
        newest = self._store.last_sequence()
        if self._after is None:
            self._after = max(0, _newest_answer(self._store) - self._most), max(0, newest - _EVENTS)
        answers, events = self._after
        batch = next(self._store.scan_answers(_ROUND, after=answers), [])
        with self._lock:
            for sequence, shown in batch:
                answers = sequence
                self._answer(shown.recommendation_id, shown.time, shown.source, shown.request, shown.item_ids)
        for rows in self._store.scan_feedback(after=max(0, events - _LATE)):
            with self._lock:
                for sequence, recommendation_id, item_id, kind in zip(
                    *(rows.column(name).to_pylist() for name in ("sequence", "recommendation_id", "item_id", "kind")),
                    strict=True,
                ):
                    if sequence not in self._read:
                        self._read[sequence] = None
                        self._event(recommendation_id, item_id, kind)
        while len(self._read) > 2 * _LATE:
            self._read.popitem(last=False)
        events = max(events, newest)
        self._after, self._at = (answers, events), self._clock()
        return len(batch) == _ROUND

    def counted(self) -> Counted:
        """All that is known, by day, model and scenario."""
        with self._lock:
            return Counted(self._since, self._at, {group: Tally() + tally for group, tally in self._tallies.items()})

    def reach(self, item_id: str) -> Reach:
        """Of one item."""
        with self._lock:
            found = self._items.get(item_id, Reach())
            return Reach(found.shown, found.clicked)

    def shown(self) -> dict[str, int]:
        """How often each item was shown that was shown at all."""
        with self._lock:
            return {item: reach.shown for item, reach in self._items.items()}

    def items(self) -> tuple[list[str], np.ndarray]:
        """The items that were shown at all, and how often each was shown and clicked, int64 (2, items)."""
        with self._lock:
            found = dict(self._items)
        numbers = np.fromiter(((reach.shown, reach.clicked) for reach in found.values()), np.dtype((np.int64, 2)), len(found))
        return list(found), numbers.T

    def window(self) -> tuple[int | None, int]:
        """µs: time of the oldest answer counted, None without any; and when that was counted, 0 before the first time."""
        with self._lock:
            return self._since, self._at

    def coverage(self, item_ids: Iterable[str]) -> int:
        """How many of these were shown."""
        with self._lock:
            return sum(1 for item in item_ids if item in self._items)

    def _answer(self, recommendation_id: str, time: int, source: str, request: object, item_ids: Iterable[str]) -> None:
        body = request.get("body", {}) if isinstance(request, dict) else {}
        group = (time - time % _DAY, source, str(body.get("scenario") or ""))
        self._since = time if self._since is None else min(self._since, time)
        tally = self._tallies.setdefault(group, Tally())
        if tally.answers == 0:
            self._trim()
        tally.answers += 1
        for item in item_ids:
            self._items.setdefault(item, Reach()).shown += 1
        self._given[recommendation_id] = _Given(group)
        while len(self._given) > self._most:
            self._given.popitem(last=False)
        for item, kind in self._early.pop(recommendation_id, ()):
            self._event(recommendation_id, item, kind)

    def _event(self, recommendation_id: str, item_id: str, kind: str) -> None:
        if kind in SILENT or kind.startswith("impression"):
            return
        given = self._given.get(recommendation_id)
        if given is None:
            self._early.setdefault(recommendation_id, []).append((item_id, kind))
            while len(self._early) > 10_000:
                self._early.popitem(last=False)
            return
        tally = self._tallies.get(given.group, Tally())
        if item_id in self._items:
            self._items[item_id].clicked += 1
        if not given.clicked:
            given.clicked = True
            tally.clicked += 1
        if kind in self._purchases and not given.bought:
            given.bought = True
            tally.bought += 1

    def _trim(self) -> None:
        """Days are kept for `_DAYS`."""
        newest = max(day for day, _, _ in self._tallies)
        for group in [one for one in self._tallies if one[0] < newest - _DAYS * _DAY]:
            del self._tallies[group]


def _newest_answer(store: Store) -> int:
    """Sequence of the newest answer, by halving: a store does not say, and reading all would take long."""
    low, high = 0, 1
    while next(store.scan_answers(1, after=high), None):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if next(store.scan_answers(1, after=middle), None):
            low = middle + 1
        else:
            high = middle
    return low
