"""HTTP over the table of routes: an ASGI application.

```
head ──▶ request id ─▶ route ─▶ key, scope, origin, rate ─▶ room? ─▶ query, body ─▶ handler ─▶ JSON ─▶ gzip ─▶ out, counted and logged
             └──────────┴──────────────┴───────────────────────┴──────────┴─────────── any error ─▶ problem ─┘
```

Nothing in here blocks: what computes or waits runs in the batcher's thread or in `Threads`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from pydantic import Field

from tastemaker.errors import OverloadError
from tastemaker.log import logger
from tastemaker.serve import body as bodies
from tastemaker.serve import browser, query
from tastemaker.serve.auth import PUBLIC, Principal
from tastemaker.serve.call import Call, Parts, Raw, Stream
from tastemaker.serve.door import Door
from tastemaker.serve.limits import Buckets
from tastemaker.serve.monitor import Seen
from tastemaker.serve.problems import MEDIA_TYPE, Refused, problem
from tastemaker.serve.route import Route
from tastemaker.serve.telemetry import Spans
from tastemaker.settings import Settings
from tastemaker.wire.bodies import Answer, Answers, EventsTaken

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_DENSE = b"application/octet-stream"
"""What packing hardly makes smaller."""
_LOOPBACK = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.I)
_SILENCE_SECONDS = 10.0
"""After so long without news a stream gets a sign of life, by which proxies and readers know that it goes on."""
_ALLOWED_HEADERS = b"authorization, content-encoding, content-type, x-api-key, x-request-id, x-user-token"


class HttpSettings(Settings):
    """Section `[http]`: limits of requests, and what pages may use the service."""

    max_body_bytes: int = Field(8 << 20, ge=1024, description="largest body, unpacked; a stream of rows may be longer")
    timeout_seconds: float = Field(30.0, gt=0, description="time of a request, reading it included")
    store_seconds: float = Field(
        3.0, gt=0, description="time for a write or a read of rows; then 503, and a write may still come about"
    )
    max_in_flight: int = Field(1024, ge=1, description="requests answered at a time; more are refused with a time to come back")
    rate_limit: float | None = Field(None, gt=0, description="requests a second of each key")
    origins: tuple[str, ...] = Field((), description="origins of pages that may use browser keys, such as https://shop.example")
    compress_bytes: int = Field(1400, ge=0, description="answers from this size on are packed for clients that take gzip")
    dashboard: bool = Field(True, description="serve the dashboard at /")
    images: Path | None = Field(None, description="folder of item pictures, served to everybody at /images/")
    image_origins: tuple[str, ...] = Field(
        (), description="origins of item images that the dashboard may show, such as https://img.shop.example; its own always"
    )
    local_only: bool = Field(True, description="while open, answer only to names of this machine (against rebinding of names)")


class Http:
    """The ASGI application under the lifespan."""

    def __init__(self, parts: Parts, settings: HttpSettings, door: Door, spans: Spans | None = None) -> None:
        self._parts, self._settings, self._door, self._spans = parts, settings, door, spans
        self._table, self._keyring, self._monitor = parts.table, parts.keyring, parts.monitor
        self._origins = frozenset(origin.encode() for origin in settings.origins)
        self._buckets = Buckets(settings.rate_limit) if settings.rate_limit else None
        self._encode = msgspec.json.Encoder().encode
        self._queries = {id(one): query.reader(one.query) if one.query else query.none for one in self._table.routes}
        self._bodies = {id(one): _body_reader(one) for one in self._table.routes if one.body is not None}
        self._busy = 0
        parts.monitor.in_flight.set_function(lambda: self._busy)

    async def __call__(self, scope: Scope, receive: bodies.Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        started = perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        method = scope["method"]
        seen = Seen(request_id, method if method in _METHODS else "other", "none", started=started)
        more: dict[str, str] = {}
        content: bytes | Stream
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                status, content, media = await self._answer(scope, headers, receive, seen, more)
        except bodies.GoneError:
            self._over(seen, headers)
            return
        except Exception as error:
            status, content, media = self._problem(error, seen, more)
        seen.handled = seen.handled or perf_counter()
        if isinstance(content, Stream):
            await self._stream(receive, send, headers, seen, content, more)
            return
        await self._send(send, headers, seen, status, content, media, more)
        self._over(seen, headers)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: bodies.Receive, seen: Seen, more: dict[str, str]
    ) -> tuple[int, bytes | Stream, bytes]:
        raw_path = scope["raw_path"]
        origin = headers.get(b"origin")
        if origin is not None and origin in self._origins:
            more["access-control-allow-origin"] = origin.decode("latin-1")
            more["access-control-expose-headers"] = "x-request-id, retry-after"
            more["vary"] = "origin"
        if scope["method"] == "OPTIONS":
            return self._options(raw_path, headers, seen, more)
        route, ids = self._table.find(scope["method"], raw_path)
        seen.route = route.path
        if route.scope == PUBLIC:
            principal = Principal(None, frozenset())
            return await self._call(route, ids, principal, scope, headers, receive, seen, more)
        principal = self._let_in(route, headers, origin)
        if not principal.browser:
            more.pop("access-control-allow-origin", None)
        if self._busy >= self._settings.max_in_flight:
            raise OverloadError(f"{self._busy} requests being answered")
        if self._door.full(route):
            raise OverloadError("more requests than can be answered")
        self._busy += 1
        try:
            return await self._call(route, ids, principal, scope, headers, receive, seen, more)
        finally:
            self._busy -= 1

    def _let_in(self, route: Route, headers: Mapping[bytes, bytes], origin: bytes | None) -> Principal:
        principal = self._keyring.principal(headers)
        if principal.key_id is None:
            self._check_open(headers, origin)
        elif not principal.may_use(route):
            needed = "a key that is not for browsers" if principal.may(route.scope) else f"a key with the scope {route.scope}"
            raise Refused("a key that may not do this", expected=needed, code="forbidden", status=403)
        elif principal.browser and origin is not None and origin not in self._origins:
            raise Refused("a page of another origin", expected="an origin the service lists", code="origin", status=403)
        if self._buckets is not None and principal.key_id is not None:
            self._buckets.take(principal.key_id)
        return principal

    def _check_open(self, headers: Mapping[bytes, bytes], origin: bytes | None) -> None:
        """While everybody may do everything, at least pages of strangers in the browser of whoever runs this may not."""
        host = headers.get(b"host", b"")
        if self._settings.local_only and not _LOOPBACK.fullmatch(host):
            raise Refused("a host name that is not this machine's", expected="localhost or 127.0.0.1", code="host", status=403)
        if origin is not None and origin not in self._origins and origin.partition(b"://")[2] != host:
            raise Refused("a page of another origin", expected="an origin the service lists", code="origin", status=403)

    async def _call(
        self,
        route: Route,
        ids: Mapping[str, str],
        principal: Principal,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: bodies.Receive,
        seen: Seen,
        more: dict[str, str],
    ) -> tuple[int, bytes | Stream, bytes]:
        if len(scope["query_string"]) > query.MAX_BYTES:
            raise Refused("an address that is too long", code="too_long", status=414)
        asked = self._queries[id(route)](scope["query_string"])
        sent, stream = None, None
        if route.body is not None:
            kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
            if kind == b"application/x-ndjson" and route.rows:
                stream = lambda: bodies.lines(headers, receive, self._settings.max_body_bytes)
            elif kind == b"application/json":
                raw = await bodies.read(headers, receive, self._settings.max_body_bytes)
                seen.bytes_in = len(raw)
                sent = self._bodies[id(route)](raw or b"{}")
            else:
                raise Refused("another content-type", expected="application/json", code="content_type", status=415)
        seen.read = perf_counter()
        call = Call(self._parts, principal, ids, asked, sent, seen.request_id, stream, headers=headers)
        if principal.browser:
            self._hold_to_user(call, headers)
        result = await route.handler(call)
        if type(result) is Raw:
            more.update(result.headers or {})
            return result.status, result.content, result.media.encode()
        if type(result) is Stream:
            return route.status, result, b"text/event-stream; charset=utf-8"
        self._count(result)
        content = b"" if result is None else self._encode(result)
        return route.status, content, b"application/json"

    def _hold_to_user(self, call: Call, headers: Mapping[bytes, bytes]) -> None:
        token = headers.get(b"x-user-token")
        if token is not None:
            secret = browser.signing_secret(self._keyring.master or b"", call.principal.key_id or "")
            call.user = browser.verify(secret, token.decode("latin-1"), time.time())
        browser.hold_to(call.user, browser.users_of(call.ids, call.query, call.body))

    def _count(self, result: Any) -> None:
        if type(result) is Answer:
            self._monitor.answered(result)
        elif type(result) is Answers:
            for one in result.answers:
                self._monitor.answered(one)
        elif type(result) is EventsTaken:
            self._monitor.taken(result)

    def _options(
        self, raw_path: bytes, headers: Mapping[bytes, bytes], seen: Seen, more: dict[str, str]
    ) -> tuple[int, bytes, bytes]:
        routes = self._table.allowed(raw_path)
        seen.route = next(iter(routes.values())).path
        more["allow"] = ", ".join(sorted({*routes, "OPTIONS", *(["HEAD"] if "GET" in routes else [])}))
        wanted = routes.get(headers.get(b"access-control-request-method", b"").decode("latin-1"))
        if wanted is not None and wanted.browser and "access-control-allow-origin" in more:
            more["access-control-allow-methods"] = wanted.method
            more["access-control-allow-headers"] = _ALLOWED_HEADERS.decode()
            more["access-control-max-age"] = "600"
        else:
            more.pop("access-control-allow-origin", None)
        return 204, b"", b""

    def _problem(self, error: Exception, seen: Seen, more: dict[str, str]) -> tuple[int, bytes, bytes]:
        if isinstance(error, TimeoutError) and not seen.read and seen.route != "none":
            error = Refused("a request that did not come in whole in time", code="slow_request", status=408)
        body, headers = problem(error, seen.request_id)
        more.update(headers)
        seen.code = body.code
        if body.status == 500:  # its text may hold ids, so only the places are told
            places = " < ".join(
                f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__))
            )
            logger.error("request %s on %s failed: %s at %s", seen.request_id, seen.route, type(error).__name__, places)
        return body.status, self._encode(body), MEDIA_TYPE

    async def _send(
        self,
        send: Send,
        headers: Mapping[bytes, bytes],
        seen: Seen,
        status: int,
        content: bytes,
        media: bytes,
        more: dict[str, str],
    ) -> None:
        out = [
            (b"x-request-id", seen.request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        if "cache-control" not in more:
            out.append((b"cache-control", b"no-store"))
        if content:
            out.append((b"content-type", media))
            if (
                media != _DENSE
                and len(content) >= self._settings.compress_bytes
                and b"gzip" in headers.get(b"accept-encoding", b"")
            ):
                content = gzip.compress(content, compresslevel=1, mtime=0)
                out.append((b"content-encoding", b"gzip"))
                more["vary"] = f"{more['vary']}, accept-encoding" if "vary" in more else "accept-encoding"
        if status != 204:
            out.append((b"content-length", str(len(content)).encode()))
        out += [(name.encode(), value.encode("latin-1")) for name, value in more.items()]
        seen.status, seen.bytes_out = status, len(content)
        await send({"type": "http.response.start", "status": status, "headers": out})
        await send({"type": "http.response.body", "body": b"" if seen.method == "HEAD" else content})

    async def _stream(
        self,
        receive: bodies.Receive,
        send: Send,
        headers: Mapping[bytes, bytes],
        seen: Seen,
        stream: Stream,
        more: dict[str, str],
    ) -> None:
        """Sends events until they end or the reader leaves; the request counts as over when they begin."""
        out = [
            (b"x-request-id", seen.request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/event-stream; charset=utf-8"),
            *((name.encode(), value.encode("latin-1")) for name, value in more.items()),
        ]
        seen.status = 200
        await send({"type": "http.response.start", "status": 200, "headers": out})
        self._over(seen, headers)
        if seen.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        gone, spoken = asyncio.create_task(_left(receive)), perf_counter()
        try:
            async with contextlib.aclosing(stream.source) as events:
                async for event in events:
                    if gone.done():
                        return
                    if event is not None:
                        content = self._event(*event)
                    elif perf_counter() - spoken > _SILENCE_SECONDS:
                        content = b": still here\n\n"
                    else:
                        continue
                    spoken = perf_counter()
                    await send({"type": "http.response.body", "body": content, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    def _event(self, name: str, value: Any) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (name.encode(), self._encode(value))

    def _over(self, seen: Seen, headers: Mapping[bytes, bytes]) -> None:
        seen.written = perf_counter()
        self._monitor.request(seen)
        if self._spans is not None:
            self._spans.request(seen, headers, time.time_ns())


async def _left(receive: bodies.Receive) -> None:
    """Ends when the reader has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _body_reader(route: Route) -> Callable[[bytes], Any]:
    strict = msgspec.json.Decoder(route.body).decode
    lenient = msgspec.json.Decoder(route.lenient).decode if route.lenient else None

    def read(raw: bytes) -> Any:
        bodies.check(raw)
        try:
            return strict(raw)
        except msgspec.ValidationError:
            if lenient is None:
                raise
            return lenient(raw)

    return read
