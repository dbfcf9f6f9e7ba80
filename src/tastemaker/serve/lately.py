"""Lately: what was counted a moment ago serves everybody who asks now, so that many open pages cost as much as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """A value held for some seconds; usable from several threads, of which one makes it and the others wait."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._lock = seconds, clock, threading.Lock()
        self._held: tuple[float, T] | None = None

    def get(self, make: Callable[[], T]) -> T:
        """The value, made anew where it is older than that; what `make` raises is raised, and nothing is held of it."""
        with self._lock:
            if self._held is None or self._clock() - self._held[0] >= self._seconds:
                value = make()
                self._held = (self._clock(), value)
            return self._held[1]
