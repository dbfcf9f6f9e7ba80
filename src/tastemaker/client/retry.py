"""When to try again, and how long to wait: exponential backoff with full jitter (Brooker 2015, "Exponential Backoff And Jitter")."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a client tries; `Retry(attempts=1)` never does it again."""

    attempts: int = 6
    """in all, the first included"""
    total_seconds: float = 30.0
    """time of all attempts and the waits between them; no wait begins that would end later"""
    base_seconds: float = 0.1
    """longest wait after the first attempt; it doubles with each one"""
    most_seconds: float = 10.0
    """longest wait of the client's own; a service that names a longer one is heeded"""

    def wait(self, attempt: int, asked: float | None, generator: random.Random) -> float:
        """Seconds to wait after a failed attempt (1 is the first).

        Uniform in 0 … min(most, base · 2^(attempt − 1)), so that clients that failed together do not come back together; on top of
        the seconds the service `asked` for.
        """
        return (asked or 0.0) + generator.uniform(0.0, min(self.most_seconds, self.base_seconds * 2 ** (attempt - 1)))


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date; None where it says nothing."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return None
