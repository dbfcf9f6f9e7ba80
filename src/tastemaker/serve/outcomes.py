"""Outcomes: what recommendations earned - which answers were clicked, which led to a purchase, what was shown how often.

```
store.answers ──▶ followed by sequence ──▶ per hour, model and scenario: answers, clicked, bought     per item: shown, clicked
store.events that point at an answer ──────┘
```

The unit is the answer: it counts as clicked once, however many of its items were, and an item as clicked once in each answer that showed
it. Events may be read twice, for nothing is counted twice. Answers and events are followed as they come in, in the background; of a store
with more than `MOST` answers the newest are counted. No user ids are held.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tastemaker.store.base import SILENT, Shown, Store

MOST = 200_000
"""Answers held so that events find theirs."""
_ROUND = 20_000
"""Answers read in one go, so that whoever reads does not keep others waiting."""
_EVENTS = 5_000_000
"""Newest events looked through for those that point at an answer, to begin with."""
_LATE = 1000
"""Sequences looked at once more: an event may be seen before one of a lower sequence, and an erasure frees those of the newest answers."""
_EARLY, _EARLY_EACH = 10_000, 100
"""Answers that are awaited because events point at them, and events held for each."""
_READ = ("recommendation_id", "item_id", "kind")
_HOUR = 3_600_000_000
_HOURS = 60 * 24


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
    """Answers of an hour, a model and a scenario."""

    answers: int = 0
    clicked: int = 0
    bought: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.answers + other.answers, self.clicked + other.clicked, self.bought + other.bought)


Group = tuple[int, str, str]
"""Hour (µs of its begin), source of the answer ("sasrec/17", "popular"), scenario or ''"""


@dataclass(slots=True)
class _Given:
    tally: Tally
    items: tuple[Reach, ...]
    taken: int = 0
    """bit by bit: the places of `items` that were clicked"""
    clicked: bool = False
    bought: bool = False


@dataclass(slots=True)
class Reach:
    """Answers that showed an item, and those of them where it was clicked."""

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
        """Of all hours that end after `since` (µs), of one source and scenario or all."""
        found = Tally()
        for (hour, by, where), tally in self.tallies.items():
            if hour + _HOUR > since and source in (None, by) and scenario in (None, where):
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
        self._early: OrderedDict[str, dict[tuple[str, str], None]] = OrderedDict()
        """items and kinds of events that came before the answer they point at was kept"""
        self._since: int | None = None
        self._at = 0
        self._after: tuple[int, int] | None = None
        """sequences of the last answer and of the last event read"""
        self._last = ""
        """id of the last answer read"""
        self._marks, self._marked, self._base = np.zeros(0, bool), 0, -1
        """codes of the views of a base that were shown, as far as items are marked"""
        self._strange: list[str] = []
        """items that were shown and have no code"""
        self._turn, self._lock, self._marking = threading.Lock(), threading.Lock(), threading.Lock()

    def refresh(self) -> bool:
        """Reads what is new; whether there is more to read."""
        with self._turn:
            return self._read_on()

    def _read_on(self) -> bool:
        newest = self._store.last_sequence()
        if self._after is None:
            self._after = max(0, _newest_answer(self._store) - self._most), max(0, newest - _EVENTS)
        answers, events = self._after
        batch = self._next_answers(answers)
        with self._lock:
            for sequence, shown in batch:
                answers, self._last = sequence, shown.recommendation_id
                if shown.recommendation_id not in self._given:
                    self._answer(shown.recommendation_id, shown.time, shown.source, shown.request, shown.item_ids)
        if len(batch) >= _ROUND:  # events come after the answers they point at: not all of them could be held until then
            self._after = answers, events
            return True
        for rows in self._store.scan_feedback(after=max(0, events - _LATE)):
            with self._lock:
                for row in zip(*(rows.column(name).to_pylist() for name in _READ), strict=True):
                    self._event(*row)
        self._after, self._at = (answers, max(events, newest)), self._clock()
        return False

    def _next_answers(self, after: int) -> list[tuple[int, Shown]]:
        """Answers after the last one; where that is gone, from further back, for a new one may have got its sequence."""
        if not self._last:
            return next(self._store.scan_answers(_ROUND, after=after), [])
        batch = next(self._store.scan_answers(_ROUND + 1, after=after - 1), [])
        if batch and batch[0][1].recommendation_id == self._last:
            return batch[1:]
        return next(self._store.scan_answers(_ROUND + _LATE, after=max(0, after - _LATE)), [])

    def counted(self) -> Counted:
        """All that is known, by hour, model and scenario."""
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

    def shown_in(self, base: int, codes: Mapping[str, int], size: int) -> np.ndarray:
        """The codes of a view that were shown at all, bool (size,); what was marked for an earlier view of its base is not gone through again."""
        with self._marking:
            if base != self._base:
                self._marks, self._marked, self._strange, self._base = np.zeros(0, bool), 0, [], base
            with self._lock:
                fresh = list(itertools.islice(self._items, self._marked, None))
            self._marked += len(fresh)
            if size > len(self._marks):  # a new item may be one that was shown before
                self._marks = np.append(self._marks, np.zeros(size - len(self._marks), bool))
                fresh, self._strange = self._strange + fresh, []
            found = np.fromiter((codes.get(item, 0) for item in fresh), np.int64, len(fresh))
            known = (found > 0) & (found < len(self._marks))
            self._marks[found[known]] = True
            self._strange += [fresh[place] for place in np.nonzero(~known)[0]]
            return self._marks[:size].copy()

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
        group = (time - time % _HOUR, source, str(body.get("scenario") or ""))
        self._since = time if self._since is None else min(self._since, time)
        tally = self._tallies.get(group)
        if tally is None:
            tally = self._tallies[group] = Tally()
            self._trim()
        tally.answers += 1
        reaches = tuple(self._items.setdefault(item, Reach()) for item in item_ids)
        for reach in reaches:
            reach.shown += 1
        self._given[recommendation_id] = _Given(tally, reaches)
        while len(self._given) > self._most:
            self._given.popitem(last=False)
        for item, kind in self._early.pop(recommendation_id, ()):
            self._event(recommendation_id, item, kind)

    def _event(self, recommendation_id: str, item_id: str, kind: str) -> None:
        if kind in SILENT or kind.startswith("impression"):
            return
        given = self._given.get(recommendation_id)
        if given is None:
            held = self._early.setdefault(recommendation_id, {})
            if len(held) < _EARLY_EACH:
                held[item_id, kind] = None
            while len(self._early) > _EARLY:
                self._early.popitem(last=False)
            return
        reach = self._items.get(item_id)
        place = next((place for place, one in enumerate(given.items) if one is reach), None)
        if reach is not None and place is not None and not given.taken >> place & 1:
            given.taken |= 1 << place
            reach.clicked += 1
        if not given.clicked:
            given.clicked = True
            given.tally.clicked += 1
        if kind in self._purchases and not given.bought:
            given.bought = True
            given.tally.bought += 1

    def _trim(self) -> None:
        """Hours are kept for `_HOURS`."""
        oldest = max(hour for hour, _, _ in self._tallies) - _HOURS * _HOUR
        for group in [one for one in self._tallies if one[0] < oldest]:
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
