"""Rates: the last ten minutes of a service in seconds, for who looks now; Prometheus keeps the long run.

Each second has a counter of each thing and a histogram of times whose buckets grow by 5 %, so a percentile is within 2.5 % of the true
one. A request costs a logarithm and some additions; memory is the same whatever comes.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

SECONDS = 600
"""How far back it goes."""
_LEAST = 0.05
_GROWTH = math.log(1.05)
_BUCKETS = 280
"""From 0.05 ms to 40 s."""


@dataclass(slots=True, eq=False)
class Second:
    """What happened in one second."""

    at: int
    """epoch seconds"""
    counts: Counter[str] = field(default_factory=Counter)
    """requests, lists (requests for recommendations), failed (5xx), accepted, duplicate, rejected, ok, fallback, degraded"""
    lists: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    """requests for recommendations by time taken"""


class Rates:
    """Counts of the last `SECONDS` seconds; written by the event loop's thread, read by any."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ring: list[Second | None] = [None] * SECONDS

    def request(self, seconds: float, status: int, *, listed: bool) -> None:
        """Counts a request that is over; `listed`: it asked for recommendations."""
        now = self._now()
        now.counts["requests"] += 1
        if status >= 500:
            now.counts["failed"] += 1
        if listed:
            now.counts["lists"] += 1
            now.lists[bucket(seconds * 1000)] += 1

    def count(self, name: str, number: int = 1) -> None:
        """Counts something else."""
        self._now().counts[name] += number

    def last(self, seconds: int) -> list[Second]:
        """The seconds that are over, oldest first, at most `seconds`; those in which nothing happened are left out."""
        end = int(self._clock())
        found = [one for one in list(self._ring) if one is not None and end - seconds <= one.at < end]
        return sorted(found, key=lambda one: one.at)

    def _now(self) -> Second:
        at = int(self._clock())
        second = self._ring[at % SECONDS]
        if second is None or second.at != at:
            second = self._ring[at % SECONDS] = Second(at)
        return second


def bucket(milliseconds: float) -> int:
    """The bucket of a time."""
    if milliseconds <= _LEAST:
        return 0
    return min(_BUCKETS - 1, 1 + int(math.log(milliseconds / _LEAST) / _GROWTH))


def totals(seconds: Iterable[Second]) -> Counter[str]:
    """All counts together."""
    found: Counter[str] = Counter()
    for one in seconds:
        found.update(one.counts)
    return found


def percentiles(seconds: Iterable[Second], shares: Sequence[float]) -> list[float | None]:
    """Ms that these shares of the requests for recommendations were answered within; None where there was none."""
    together = [0] * _BUCKETS
    for one in seconds:
        together = [a + b for a, b in zip(together, one.lists, strict=True)]
    count = sum(together)
    if not count:
        return [None for _ in shares]
    found: list[float | None] = []
    for share in shares:
        rest = max(1, math.ceil(share * count))
        place = 0
        while (rest := rest - together[place]) > 0:
            place += 1
        found.append(round(_LEAST * math.exp(_GROWTH * max(0.0, place - 0.5)), 3))
    return found
