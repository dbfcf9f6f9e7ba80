"""Held: a bounded memory whose entries belong to users, so that a user's can be forgotten at once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Held(Generic[V]):
    """Values by key, the longest unused dropped beyond a capacity. Safe to use from several threads."""

    def __init__(self, capacity: int, seconds: float = float("inf"), clock: Callable[[], float] = time.monotonic) -> None:
        """`seconds` after it was put a value is not held any more."""
        self._capacity, self._seconds, self._clock = capacity, seconds, clock
        self._entries: OrderedDict[Hashable, tuple[str | None, V, float]] = OrderedDict()
        self._keys: dict[str, set[Hashable]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        """The value, which counts as used; None when it is not held."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock() >= entry[2]:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: Hashable, value: V, owner: str | None = None) -> None:
        """Holds a value; `owner` is the user it is about."""
        with self._lock:
            self._drop(key)
            self._entries[key] = (owner, value, self._clock() + self._seconds)
            if owner is not None:
                self._keys.setdefault(owner, set()).add(key)
            while len(self._entries) > self._capacity:
                self._drop(next(iter(self._entries)))

    def forget(self, owner: str) -> int:
        """Drops what is about a user; how many entries went."""
        with self._lock:
            keys = list(self._keys.get(owner, ()))
            for key in keys:
                self._drop(key)
            return len(keys)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None and entry[0] is not None:
            keys = self._keys[entry[0]]
            keys.discard(key)
            if not keys:
                del self._keys[entry[0]]
