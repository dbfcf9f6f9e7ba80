"""Group commit: calls that wait while another commits go together into the next transaction, and share its wait for the disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tastemaker.errors import StoreError

Call = TypeVar("Call")
Outcome = TypeVar("Outcome")


class _Entry(Generic[Call, Outcome]):
    def __init__(self, call: Call) -> None:
        self.call = call
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        self.done = False
        self.woken = threading.Event()


class Group(Generic[Call, Outcome]):
    """Runs `commit` on lists of calls, at most `most` at once. No thread of its own: the caller that waited longest commits for all.

    When a group fails, each of its calls is tried alone, so that one that cannot be kept does not take others with it; a failure of the
    database (StoreError) fails all.
    """

    def __init__(self, commit: Callable[[Sequence[Call]], Sequence[Outcome]], most: int) -> None:
        self._commit, self._most = commit, most
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Call, Outcome]] = deque()
        self._led = False

    def add(self, call: Call) -> Outcome:
        """Returns after the commit that holds the call; raises what it failed with."""
        entry: _Entry[Call, Outcome] = _Entry(call)
        with self._lock:
            self._waiting.append(entry)
            follows, self._led = self._led, True
        if follows:
            entry.woken.wait()
        if not entry.done:
            self._lead()
        if entry.error is not None:
            raise entry.error
        return entry.outcome  # type: ignore[return-value]

    def _lead(self) -> None:
        """Commits for those at the head of the line, the caller first among them, and wakes them and the next leader."""
        with self._lock:
            entries = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            self._run(entries)
        finally:
            with self._lock:
                self._led = bool(self._waiting)
                heads = [*entries, self._waiting[0]] if self._waiting else entries
            for entry in heads:
                entry.woken.set()

    def _run(self, entries: list[_Entry[Call, Outcome]]) -> None:
        try:
            outcomes = self._commit([entry.call for entry in entries])
            for entry, outcome in zip(entries, outcomes, strict=True):
                entry.outcome = outcome
        except Exception as error:
            if len(entries) > 1 and not isinstance(error, StoreError):
                for entry in entries:
                    self._run([entry])
            else:
                for entry in entries:
                    entry.error = error
        finally:
            for entry in entries:
                entry.done = True
