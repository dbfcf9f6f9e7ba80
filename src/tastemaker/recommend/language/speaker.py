"""What a generation model is to the rest: a prompt goes in, text comes out, or nothing and a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tastemaker.recommend.language.prompts import Prompt


@dataclass(frozen=True)
class Said:
    """A reply."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0


class NoAnswerError(Exception):
    """There is no reply; never shown to a user, since there is always something to fall back on."""

    def __init__(self, reason: str, *, pause_seconds: float | None = None) -> None:
        """`reason` is one word: failed, refused, busy, slow, unreadable, too_long. With `pause_seconds` it asks to be left alone."""
        super().__init__(reason)
        self.reason, self.pause_seconds = reason, pause_seconds


class Speaker(Protocol):
    """A generation model; safe to use from several threads."""

    name: str
    """which model it is: equal names give equal replies"""

    def say(self, prompt: Prompt, seconds: float) -> Said:
        """The reply.

        Raises:
            NoAnswerError: there is none, or none within about so many seconds.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds."""
        ...
