"""The door: a request for what has no room is turned away before it is read.

```
bytes ──▶ is any room full? ── no ──▶ parser ─▶ task ─▶ application (`http.py`): key, room?, body, handler
                └ yes ─▶ one plain request for a full room? ── yes ─▶ 503, Retry-After: bytes that lie ready, and a count
                                       └ no: as above; the application refuses it before its body is read
```

Under five times the load that can be answered, four of five requests are refused, so a refusal must cost a fiftieth of an answer:
no parser, no task, no log line of its own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tastemaker.serve.monitor import Monitor
from tastemaker.serve.problems import MEDIA_TYPE, Refused
from tastemaker.serve.route import Route, Table
from tastemaker.wire.bodies import Problem

RETRY_SECONDS = 1
_ID = "0" * 16
_SPECIAL = (b"transfer-encoding", b"\r\nexpect:", b"\r\norigin:", b"\r\nx-request-id:", b"\r\nupgrade:", b"close\r\n")
"""What makes a request more than plain: it gets the answer of the application."""


class Door:
    """Knows which rooms are full; each route leads to one."""

    def __init__(self, table: Table, rooms: Mapping[str, Callable[[], bool]], monitor: Monitor) -> None:
        """`rooms` says of each `Route.room` whether it is full."""
        self._table, self._rooms, self._monitor = table, dict(rooms), monitor
        self._full = tuple(rooms.values())
        self._lines = {f"{one.method} {one.path} HTTP/1.1".encode(): one for one in table.routes if one.room and not one.ids}
        self._ids = map("{:08x}".format, itertools.count())
        self._prefix = os.urandom(4).hex()
        body = msgspec.json.encode(
            Problem(
                title="Service Unavailable",
                status=503,
                code="overload",
                detail="more requests than can be answered",
                request_id=_ID,
            )
        )
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE.decode()}\r\ncontent-length: {len(body)}\r\n"
            f"retry-after: {RETRY_SECONDS}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nx-request-id: {_ID}\r\n\r\n"
        )
        self._parts = (head + body.decode()).split(_ID)

    @property
    def crowded(self) -> bool:
        """Whether any room is full."""
        for full in self._full:  # noqa: SIM110 - asked for each packet, and a generator takes twice as long
            if full():
                return True
        return False

    def full(self, route: Route) -> bool:
        """Whether there is no room for a request on a route."""
        room = self._rooms.get(route.room)
        return room is not None and room()

    def turned_away(self, data: bytes) -> tuple[bytes, int] | None:
        """The answer to one plain request for a full room, which is counted, and how many bytes of its body are yet to come.

        None where `data` is anything else.
        """
        end = data.find(b"\r\n\r\n")
        line, _, rest = data[: end + 2].partition(b"\r\n")
        route = self._lines.get(line) or self._route(line)
        if end < 0 or route is None or not self.full(route):
            return None
        fields = b"\r\n" + rest.lower()
        for name in _SPECIAL:
            if name in fields:
                return None
        rest_of_body = body_length(fields) - (len(data) - end - 4)
        if rest_of_body < 0:
            return None
        self._monitor.turned_away(route.method, route.path)
        return (self._prefix + next(self._ids)).join(self._parts).encode(), rest_of_body

    def _route(self, line: bytes) -> Route | None:
        """The route of a request's first line that has a room."""
        verb, _, address = line.partition(b" ")
        path, _, version = address.partition(b" ")
        if version != b"HTTP/1.1" or verb not in (b"POST", b"GET"):
            return None
        try:
            return self._table.find(verb.decode(), path.partition(b"?")[0])[0]
        except Refused:
            return None


def body_length(fields: bytes) -> int:
    """Bytes of a body as its head says; -1 where it says nothing clear."""
    _, named, rest = fields.partition(b"\r\ncontent-length:")
    if fields.count(b"content-length") != bool(named):
        return -1  # written oddly, or twice: a body whose end is guessed wrong would be read as a request
    if not named:
        return 0
    digits = rest.partition(b"\r\n")[0]
    digits = digits.strip()
    return int(digits) if digits.isdigit() and len(digits) < 10 else -1


class Doorway(HttpToolsProtocol):
    """Uvicorn's protocol behind a door: `behind` makes the class for one."""

    door: Door

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._midway = False
        self._dropping = 0
        self._turned = 0.0

    def data_received(self, data: bytes) -> None:
        if self._dropping:
            dropped = min(self._dropping, len(data))
            self._dropping -= dropped
            data = data[dropped:]
            if not data:
                return
        if self.door.crowded and not self._midway and not self._answering and not self.flow.write_paused:
            refusal = self.door.turned_away(data)
            if refusal is not None:
                answer, self._dropping = refusal
                self._turned = self.loop.time()
                if self.timeout_keep_alive_task is None:
                    self._wait_for_more(self.timeout_keep_alive)
                self.transport.write(answer)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._midway = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._midway = False
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        rest = self._turned + self.timeout_keep_alive - self.loop.time()
        if rest > 0:  # whoever was turned away meanwhile was not silent
            self._wait_for_more(rest)
        else:
            super().timeout_keep_alive_handler()

    @property
    def _answering(self) -> bool:
        return bool(self.pipeline) or not (self.cycle is None or self.cycle.response_complete)

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def behind(door: Door) -> type[Doorway]:
    """The protocol of a server behind a door."""
    return type("Doorway", (Doorway,), {"door": door})
