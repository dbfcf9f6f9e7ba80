"""What was asked of a language model, what became of it, and what it cost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

_SECONDS_KEPT = 100_000


class Tally:
    """Counts; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: Counter[tuple[str, str]] = Counter()
        """task and what became of the question: ok, held, late, budget, paused, full, failed, refused, busy, slow, unreadable, too_long"""
        self.faults: Counter[tuple[str, str]] = Counter()
        """task and what was left out of replies"""
        self.calls: Counter[str] = Counter()
        """by task"""
        self.tokens: Counter[str] = Counter()
        """read, written"""
        self.seconds: list[float] = []
        """of calls, the first hundred thousand"""

    def answered(self, task: str, outcome: str, faults: Mapping[str, int] | None = None) -> None:
        """Counts a question."""
        with self._lock:
            self.answers[task, outcome] += 1
            for fault, count in (faults or {}).items():
                self.faults[task, fault] += count

    def called(self, task: str, seconds: float, tokens_in: int, tokens_out: int) -> None:
        """Counts a call."""
        with self._lock:
            self.calls[task] += 1
            self.tokens.update(read=tokens_in, written=tokens_out)
            if len(self.seconds) < _SECONDS_KEPT:
                self.seconds.append(seconds)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as a report has it."""
        with self._lock:
            return {
                "answers": _by_task(self.answers),
                "faults": _by_task(self.faults),
                "calls": dict(self.calls),
                "tokens": {"read": self.tokens["read"], "written": self.tokens["written"]},
            }


def _by_task(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (task, what), count in sorted(counts.items()):
        found.setdefault(task, {})[what] = count
    return found
