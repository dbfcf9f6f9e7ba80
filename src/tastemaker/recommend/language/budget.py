"""Calls a minute and a day: what a language model may cost at most."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_MINUTE, _DAY = 60.0, 86_400.0


class Budget:
    """Counts calls over the minute and the day before now. Safe to use from several threads."""

    def __init__(self, per_minute: int, per_day: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._minute, self._day, self._clock = per_minute, per_day, clock
        self._calls: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes one call where there is one left."""
        with self._lock:
            if self._wait() > 0:
                return False
            self._calls.append(self._clock())
            return True

    def wait_seconds(self) -> float:
        """Until there is a call left; 0: there is."""
        with self._lock:
            return self._wait()

    def _wait(self) -> float:
        now, calls = self._clock(), self._calls
        while calls and now - calls[0] >= _DAY:
            calls.popleft()
        waits = [calls[-most] + span - now for most, span in ((self._minute, _MINUTE), (self._day, _DAY)) if len(calls) >= most]
        return max(0.0, *waits) if waits else 0.0
