"""Group commit: calls that wait while another commits go together into the next transaction, and share its wait for the disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tastemaker.errors import StoreError

Call = TypeVar("Call")
Outcome = TypeVar("Outcome")


@dataclass(eq=False, slots=True)
class _Entry(Generic[Call, Outcome]):
    call: Call
    outcome: Outcome | None = None
    error: Exception | None = None
    done: bool = False


class Group(Generic[Call, Outcome]):
    """Runs `commit` on lists of calls, at most `most` at once. No thread of its own: a caller commits for those that wait.

    When a group fails, each of its calls is tried alone, so that one that cannot be kept does not take others with it; a failure of the
    database (StoreError) fails all.
    """

    def __init__(self, commit: Callable[[Sequence[Call]], Sequence[Outcome]], most: int) -> None:
        self._commit, self._most = commit, most
        self._waiting: deque[_Entry[Call, Outcome]] = deque()
        self._turn = threading.Lock()

    def add(self, call: Call) -> Outcome:
        """Returns after the commit that holds the call; raises what it failed with."""
        entry: _Entry[Call, Outcome] = _Entry(call)
        self._waiting.append(entry)
        with self._turn:
            while not entry.done:
                self._run([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        if entry.error is not None:
            raise entry.error
        return entry.outcome  # type: ignore[return-value]

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
