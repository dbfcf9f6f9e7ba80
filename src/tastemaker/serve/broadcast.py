"""Broadcast: what changes is told to everybody who listens, and asked for once, however many do.

```
topic.ask() ── in a thread, at most once each `seconds`, while anybody listens ──▶ held ──▶ each listener, where it differs from what it heard last
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tastemaker.errors import OverloadError, RequestError, StoreError
from tastemaker.serve.limits import Threads

_LISTENERS = 64
_BEAT_SECONDS = 0.25


@dataclass(frozen=True)
class Topic:
    """Something that changes."""

    ask: Callable[[], Any]
    """the struct to tell; called in a thread"""
    seconds: float = 1.0
    """how often it is asked for"""


class Broadcast:
    """Server-sent events by topic; for one event loop."""

    def __init__(self, threads: Threads, *, most: int = _LISTENERS) -> None:
        """Asks in `threads` and tells at most `most` listeners."""
        self.topics: dict[str, Topic] = {}
        self._threads, self._most = threads, most
        self._held: dict[str, tuple[float, asyncio.Future[Any]]] = {}
        self.listeners = 0
        self.closing: Callable[[], bool] = lambda: False
        """whether listeners are to be sent home, since the process ends"""

    def carry(self, topics: Mapping[str, Topic]) -> None:
        """Adds topics."""
        self.topics |= topics

    def listen(self, names: Sequence[str]) -> AsyncGenerator[tuple[str, Any] | None]:
        """The news of some topics (none named: of all), what is known of each first; None where there is none at the moment.

        Raises:
            RequestError: no such topic.
            OverloadError: too many listen.
        """
        if unknown := sorted(set(names) - self.topics.keys()):
            raise RequestError(f"a topic {unknown[0]!r}", code="topic", expected=f"some of {', '.join(sorted(self.topics))}")
        if self.listeners >= self._most:
            raise OverloadError(f"{self.listeners} listeners")
        return self._news(names or list(self.topics))

    async def _news(self, names: Sequence[str]) -> AsyncGenerator[tuple[str, Any] | None]:
        self.listeners += 1
        try:
            heard: dict[str, Any] = {}
            while not self.closing():
                for name in names:
                    value = await self._value(name)
                    if value is not None and heard.get(name) != value:
                        heard[name] = value
                        yield name, value
                yield None
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            self.listeners -= 1

    async def _value(self, name: str) -> Any:
        """What is held of a topic, or asked for anew; the last one where the store does not answer."""
        topic, held = self.topics[name], self._held.get(name)
        if held is None or (held[1].done() and monotonic() - held[0] >= topic.seconds):
            before = held[1].result() if held is not None else None
            held = (monotonic(), asyncio.ensure_future(self._asked(topic, before)))
            self._held[name] = held
        return await asyncio.shield(held[1])

    async def _asked(self, topic: Topic, before: Any) -> Any:
        try:
            return await self._threads.run(topic.ask)
        except (StoreError, OverloadError, TimeoutError):
            return before
