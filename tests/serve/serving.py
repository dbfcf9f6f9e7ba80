"""A real server on a real socket, over a real store and a trained model."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.serve import towns

from tastemaker.serve.app import app
from tastemaker.serve.auth import new_key
from tastemaker.serve.batcher import Batcher
from tastemaker.serve.door import behind
from tastemaker.serve.http import HttpSettings
from tastemaker.serve.monitor import Monitor
from tastemaker.serve.registry import Registry
from tastemaker.serve.service import Service
from tastemaker.store.base import Store


@dataclass
class Server:
    """What a test may look at."""

    url: str
    client: httpx.Client
    store: Store
    service: Service
    monitor: Monitor
    log: io.StringIO

    def key(self, *scopes: str, browser: bool = False) -> dict[str, str]:
        """Headers of a new key."""
        key, secret = new_key(scopes, browser=browser)
        self.store.add_key(key)
        return {"authorization": f"Bearer {secret}", "key-id": key.key_id}

    def begin(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """The answer to a request; of one that goes on without end, its head alone."""
        with self.client.stream(verb, path, **options) as answer:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.read()
            return answer

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the server closes or falls silent."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as wire:
            wire.sendall(request)
            found = b""
            try:
                while part := wire.recv(65536):
                    found += part
            except TimeoutError:
                pass
        return found


@contextmanager
def serving(
    folder: Path,
    *,
    keys: Callable[[Store], Any] | None = None,
    model: bool = True,
    runs: Path | None = None,
    slow_ms: float = 250.0,
    **settings: Any,
) -> Iterator[Server]:
    """A server over a town, with the model in use; `keys` may add some before it starts."""
    with towns.town(folder / "town.db") as store, Service(store) as service:
        if keys is not None:
            keys(store)
        if model:
            service.swap(towns.model("item_knn"))
        service.warm()
        log = io.StringIO()
        monitor = Monitor(slow_ms=slow_ms, log=log)
        registry = Registry(store, folder / "models")
        with (
            running(service, store, registry=registry, monitor=monitor, settings=HttpSettings(**settings), runs=runs) as url,
            httpx.Client(base_url=url, timeout=20) as client,
        ):
            yield Server(url, client, store, service, monitor, log)


@contextmanager
def running(service: Service, store: Store, **options: Any) -> Iterator[str]:
    """The address of an application that runs in a thread until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listening.getsockname()[1]
    started, server = threading.Event(), None

    def run() -> None:
        nonlocal server

        async def serve() -> None:
            nonlocal server
            application = app(service, Batcher(service), store, **options)
            config = uvicorn.Config(application, log_level="error", http=behind(application.state.door), lifespan="on")
            server = uvicorn.Server(config)
            application.state.broadcast.closing = lambda: server.should_exit
            server.install_signal_handlers = lambda: None
            started.set()
            await server.serve(sockets=[listening])

        asyncio.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(10)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            assert client.get("/livez").status_code == 200  # waits in the socket's queue until the server takes it
        yield f"http://127.0.0.1:{port}"
    finally:
        if server is not None:
            server.should_exit = True
        thread.join(20)
        listening.close()
