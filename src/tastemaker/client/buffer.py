"""Events sent in the background, so that a program does not wait for each: nothing is lost without being told.

```
add ──▶ waiting (bounded) ──▶ up to 1,000 at a time ──▶ POST /v1/events ──▶ accepted, duplicates
             ▲                                               ├── refused events ──▶ on_rejected
             └──── put back, tried again ◀── no answer ──────┘
close ──▶ sends the rest, or raises UndeliveredError with them
```
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from tastemaker.client.client import Client
from tastemaker.client.errors import FailedError, InvalidError, ServiceError, UndeliveredError
from tastemaker.client.verbs import named
from tastemaker.errors import OverloadError
from tastemaker.log import logger
from tastemaker.wire.bodies import EventBody, EventsTaken, Problem, RejectedEvent

MOST = 1000
"""Events that the service takes at a time."""


class EventBuffer:
    """Sends events in the background; `add` returns at once, from any thread.

    Each event gets an `event_id` and its time when it is added, so that sending it again has one effect. Events are kept in memory
    until the service has said that they are durable: a killed process loses those still waiting, which is what `flush` is for.
    """

    def __init__(
        self,
        client: Client,
        *,
        size: int = MOST,
        seconds: float = 1.0,
        limit: int = 100_000,
        on_rejected: Callable[[EventBody, RejectedEvent], None] | None = None,
    ) -> None:
        """Starts the thread that sends.

        Args:
            client: sends; stays the caller's to close, after this.
            size: events of one request at most; as many are sent at once.
            seconds: how long an event waits for others at most.
            limit: events that may wait; beyond it `add` raises.
            on_rejected: called from the thread with each event that the service refused; None writes a warning to the log.
        """
        self._client, self._size, self._seconds, self._limit = client, min(size, MOST), seconds, limit
        self._on_rejected = on_rejected or _log_rejected
        self._waiting: deque[EventBody] = deque()
        self._changed = threading.Condition()
        self._hurry = self._closing = self._stopped = False
        self._oldest = 0.0
        self._under_way: list[EventBody] = []
        self.accepted = 0
        """events that are durable"""
        self.duplicates = 0
        """events the service had already"""
        self.rejected = 0
        """events the service refused"""
        self.error: ServiceError | None = None
        """of the last request, if it failed; its events wait"""
        self._thread = threading.Thread(target=self._run, name="event-buffer", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)

    def __len__(self) -> int:
        """Events that are not known to be durable yet."""
        return len(self._waiting) + len(self._under_way)

    def add(self, event: EventBody) -> None:
        """Takes an event.

        Raises:
            OverloadError: too many wait, or the buffer is closed; this event was not taken.
            TypeError, UnicodeEncodeError: it cannot be written as JSON.
        """
        event = named(event)
        msgspec.json.encode(event)
        with self._changed:
            if self._closing:
                raise OverloadError("an event for a closed buffer", expected="none after close")
            if len(self) >= self._limit:
                why = f"; the last request failed with {self.error}" if self.error else ""
                raise OverloadError(f"{len(self)} events that wait{why}", expected=f"at most {self._limit}")
            if not self._waiting:
                self._oldest = time.monotonic()
            self._waiting.append(event)
            if len(self._waiting) == 1 or len(self._waiting) >= self._size:
                self._changed.notify_all()

    def flush(self, timeout_seconds: float = 30.0) -> None:
        """Returns when everything added before is durable or was refused.

        Raises:
            UndeliveredError: the time was up, or the service did not take them; they still wait and are tried again.
        """
        until = time.monotonic() + timeout_seconds
        with self._changed:
            self._hurry, self.error = True, None
            self._changed.notify_all()
            while len(self) and self.error is None and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._hurry = False
            if len(self):
                raise UndeliveredError([*self._under_way, *self._waiting], self.error)

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Sends what waits and ends the thread.

        Raises:
            UndeliveredError: with the events that are not known to be durable; they are not tried again.
        """
        atexit.unregister(self._at_exit)
        with self._changed:
            if self._stopped:
                return
            self._closing = True
        try:
            self.flush(timeout_seconds)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            self._thread.join(0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _at_exit(self) -> None:
        try:
            self.close()
        except UndeliveredError as error:
            logger.error("%s", error)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            error: ServiceError | None = None
            try:
                self._send(batch)
            except ServiceError as found:
                error = found
            except Exception as found:  # such as a client that is closed already: the events are not lost for it
                error = FailedError(Problem(title="", status=0, code="client", detail=f"{type(found).__name__}: {found}"))
            with self._changed:
                self._waiting.extendleft(reversed(self._under_way))
                self._under_way, self.error = [], error
                self._changed.notify_all()
                if error is not None and not self._stopped:
                    self._changed.wait(self._seconds)  # the client has waited between its attempts already

    def _next(self) -> list[EventBody] | None:
        """The next events to send, when it is time; None at the end."""
        with self._changed:
            while not self._stopped:
                due = self._oldest + self._seconds - time.monotonic()
                if self._waiting and (self._hurry or self._closing or due <= 0 or len(self._waiting) >= self._size):
                    batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
                    self._under_way, self._oldest = batch, time.monotonic()
                    return batch
                self._changed.wait(due if self._waiting else None)
            return None

    def _send(self, batch: list[EventBody]) -> None:
        """Sends the first of what is under way; what is settled, taken or refused, is under way no more."""
        try:
            taken = self._client.send_events(batch)
        except InvalidError as error:
            if len(batch) > 1:  # too large together, or one of them spoils it for all
                self._send(batch[: len(batch) // 2])
                self._send(batch[len(batch) // 2 :])
                return
            taken = EventsTaken(accepted=0, duplicates=0, rejected=[RejectedEvent(index=0, code=error.code, detail=error.detail)])
        with self._changed:
            self._under_way = self._under_way[len(batch) :]
            self.accepted += taken.accepted
            self.duplicates += taken.duplicates
            self.rejected += len(taken.rejected)
        for one in taken.rejected:
            self._reject(batch[one.index], one)

    def _reject(self, event: EventBody, why: RejectedEvent) -> None:
        try:
            self._on_rejected(event, why)
        except Exception:  # the caller's function must not end the thread
            logger.exception("on_rejected failed")


def _log_rejected(event: EventBody, why: RejectedEvent) -> None:
    logger.warning("an event was refused: %s: %s", why.code, why.detail)
