"""The application: table of routes, keys, monitor and the service put together, with a beginning and an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from tastemaker.dashboard.files import Files
from tastemaker.dashboard.images import Images
from tastemaker.log import logger
from tastemaker.serve import openapi, topics
from tastemaker.serve.auth import Keyring
from tastemaker.serve.batcher import Batcher
from tastemaker.serve.broadcast import Broadcast
from tastemaker.serve.call import Parts
from tastemaker.serve.door import Door
from tastemaker.serve.drift import Drifts
from tastemaker.serve.http import Http, HttpSettings
from tastemaker.serve.lately import Lately
from tastemaker.serve.limits import Threads
from tastemaker.serve.monitor import Monitor
from tastemaker.serve.registry import Registry
from tastemaker.serve.route import Route, Table
from tastemaker.serve.routes import ROUTES
from tastemaker.serve.service import Service
from tastemaker.serve.telemetry import Spans
from tastemaker.store.base import Store

_FLUSH_SECONDS = 0.5
_HELD_SECONDS = 2.0
"""What pages ask for again and again is counted no sooner than that after the last time."""
_PATIENCE_SECONDS = 1.0
"""While a question to the store waited longer for its turn, no other is taken in."""


def app(
    service: Service,
    batcher: Batcher,
    store: Store,
    *,
    registry: Registry | None = None,
    monitor: Monitor | None = None,
    settings: HttpSettings | None = None,
    spans: Spans | None = None,
    runs: Path | None = None,
    routes: Sequence[Route] = ROUTES,
    mounts: Sequence[BaseRoute] = (),
) -> Starlette:
    """An ASGI application over a service; a server that sets `door.behind(application.state.door)` before it refuses faster.

    Args:
        service: answers; whoever made it warms, swaps and closes it.
        batcher: gathers requests for it; closed when the application ends.
        store: for keys, jobs and the audit log.
        registry: of model versions; None where one fixed model is served.
        monitor: counts; one of its own unless given.
        settings: limits and origins.
        spans: traces, if wanted.
        runs: folder of a ledger whose runs are shown beside those of the versions.
        routes: the table; each must say who may use it.
        mounts: more to serve beside it, such as static pages.

    Raises:
        ConfigError: a route without a known scope.
        StoreError: the keys cannot be read.
    """
    settings = settings or HttpSettings.parse({})
    table, patience, budget = Table(routes), _PATIENCE_SECONDS, settings.store_seconds
    speakers = 1 if service.language is None else service.language.settings.in_flight
    reads = Threads("read", workers=8, waiting=256, patience_seconds=patience, budget_seconds=budget)
    parts = Parts(
        service=service,
        batcher=batcher,
        store=store,
        registry=registry,
        keyring=Keyring(store),
        monitor=monitor or Monitor(log=None),
        lists=Threads("list", workers=4, waiting=256),
        reads=reads,
        writes=Threads("write", workers=32, waiting=256, patience_seconds=patience, budget_seconds=budget),
        words=Threads("words", workers=2 * speakers, waiting=64, patience_seconds=service.settings.patience_ms / 1000),
        control=Threads("control", workers=1, waiting=2),
        table=table,
        broadcast=Broadcast(reads),
        drifts=Drifts(store),
        intake=Lately(_HELD_SECONDS),
        machine=Lately(_HELD_SECONDS),
        settings={
            "serve": service.settings,
            "http": settings,
            **({} if registry is None else {"gate": registry.limits}),
            **({} if service.language is None else {"language": service.language.settings}),
        },
        runs=runs,
        document=msgspec.json.encode(openapi.document(table.routes)),
    )
    for name, threads in (
        ("lists", parts.lists),
        ("reads", parts.reads),
        ("writes", parts.writes),
        ("words", parts.words),
        ("control", parts.control),
    ):
        parts.monitor.watch_queue(name, partial(getattr, threads, "busy"))
    parts.monitor.watch_queue("recommend", lambda: batcher.depth)
    parts.monitor.watch_model(lambda: service.ready, lambda: service.version)
    batcher.on_batch = parts.monitor.batch
    service.watch_stages(parts.monitor.list_stage)
    service.watch_skips(parts.monitor.skipped)
    if service.language is not None:
        parts.monitor.watch_language(service.language.tally)
    parts.broadcast.carry(topics.of(parts))
    door = Door(table, {"recommend": lambda: batcher.full, "writes": lambda: parts.writes.full}, parts.monitor)
    http = Http(parts, settings, door, spans)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        background = [
            asyncio.create_task(parts.keyring.keep_fresh()),
            asyncio.create_task(_regularly(parts.monitor.flush)),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await batcher.close()
            for threads in (parts.lists, parts.reads, parts.writes, parts.words, parts.control):
                threads.close()
            parts.monitor.flush()
            if spans is not None:
                spans.close()

    page = [*Files(settings.image_origins).routes] if settings.dashboard else []
    if settings.images is not None:
        page += Images(settings.images).routes
    application = _Application(http, routes=[*mounts, *page], lifespan=lifespan)
    application.router.default = http  # a mount at "/" would not match a path that holds a newline
    application.router.redirect_slashes = False
    application.state.door, application.state.broadcast = door, parts.broadcast
    return application


class _Application(Starlette):
    """Requests of the API go to `http` at once: it catches what Starlette's layers would, and they cost a tenth of a request."""

    def __init__(self, http: Http, **named: Any) -> None:
        super().__init__(**named)
        self._http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self._http(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _regularly(work: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        try:
            work()
        except OSError as error:
            logger.warning("log lines could not be written: %s", type(error).__name__)
