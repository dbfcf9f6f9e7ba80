"""Beside: versions that are not in use, held for a while, so that one can see what they would answer.

```
version ─▶ Registry.load ─▶ a `Live` of its own over the same catalogue ─▶ a `Desk` of its own: same histories, rules, filters
           (control thread)   newcomers find their places in it as they do in the one in use
```
Nothing in it is shared with what answers live, except the store, the counts of the popular list and the code.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tastemaker.errors import RequestError
from tastemaker.log import logger
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.crowd import Crowd
from tastemaker.serve.desk import Desk
from tastemaker.serve.live import Live
from tastemaker.store.base import ModelVersion

if TYPE_CHECKING:
    from tastemaker.serve.registry import Registry

Key = tuple[str, int]


@dataclass(eq=False)
class Bench:
    """A version that can be asked."""

    live: Live
    desk: Desk
    crowd: Crowd
    loaded_ms: float = 0.0
    looked: float = 0.0
    """`time.monotonic()` when it last took in what changed in the store"""
    used: float = 0.0


class Beside:
    """The last used versions, a number of them at most. Safe to use from several threads."""

    def __init__(
        self,
        make: Callable[[Recommender, ModelVersion], Bench],
        capacity: int,
        idle_seconds: float,
        fresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make` sets a version up; one that took in the store's changes less than `fresh_seconds` ago answers as it is."""
        self._make, self.capacity, self._clock = make, capacity, clock
        self._idle, self._fresh = idle_seconds, fresh_seconds
        self._held: OrderedDict[Key, Bench] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def ready(self, keys: Sequence[Key]) -> dict[Key, Bench] | None:
        """The versions, if all are held and true to the store; None where `take` is to be asked, which may take seconds."""
        now = self._clock()
        with self._lock:
            if not all(key in self._held and now - self._held[key].looked < self._fresh for key in keys):
                return None
            return {key: self._used(key, now) for key in keys}

    def take(self, keys: Sequence[Key], registry: Registry) -> dict[Key, Bench | Exception]:
        """Each version, loaded if it is not held and brought up to the store; or why it cannot be asked."""
        found: dict[Key, Bench | Exception] = {}
        with self._loading:
            for key in keys:
                try:
                    found[key] = self._taken(key, keys, registry)
                except Exception as error:  # whatever is wrong with one, the others answer
                    logger.warning("version %s %d cannot be compared: %s", *key, error)
                    found[key] = error
        return found

    def release(self) -> None:
        """Lets go of what nobody has asked for a while."""
        now = self._clock()
        with self._lock:
            for key in [key for key, bench in self._held.items() if now - bench.used >= self._idle]:
                self._drop(key)

    def forget(self, user_id: str) -> None:
        """Drops what memory holds of a user."""
        with self._lock:
            for bench in self._held.values():
                bench.desk.last.forget(user_id)
                bench.live.view.user_codes.pop(user_id, None)

    def close(self) -> None:
        """Lets go of all."""
        with self._lock:
            for key in list(self._held):
                self._drop(key)

    def _taken(self, key: Key, wanted: Sequence[Key], registry: Registry) -> Bench:
        with self._lock:
            bench = self._held.get(key)
        if bench is None:
            version = registry.find(*key)
            if version.facts.get("pruned"):
                raise RequestError(
                    f"the files of {key[0]} {key[1]} were removed",
                    code="version_pruned",
                    status=409,
                    hint="gate.keep_versions says how many versions keep theirs",
                )
            with self._lock:  # first, so that there are never more than may be
                for other in [one for one in self._held if one not in wanted] + [one for one in self._held if one in wanted]:
                    if len(self._held) >= self.capacity:
                        self._drop(other)
            started = time.perf_counter()
            bench = self._make(registry.load(version), version)
            _catch_up(bench)
            bench.loaded_ms = round((time.perf_counter() - started) * 1000, 3)
        else:
            bench.live.refresh()
            _catch_up(bench)
        with self._lock:
            self._held[key] = bench
            bench.looked = self._clock()
            return self._used(key, bench.looked)

    def _used(self, key: Key, now: float) -> Bench:
        bench = self._held[key]
        bench.used = now
        self._held.move_to_end(key)
        return bench

    def _drop(self, key: Key) -> None:
        self._held.pop(key).live.close()


def _catch_up(bench: Bench) -> None:
    """Newcomers find their places, and hours are counted: what the threads of the one in use do all the time."""
    bench.live.acquaint()
    while bench.live.encode():
        pass
    bench.crowd.refresh(bench.live.view)
