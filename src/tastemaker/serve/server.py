"""The process: a store, a model, a socket; from start to the last answer.

```
open store ─▶ may it be open? ─▶ socket ─▶ serve: alive ─▶ load, verify, warm the model (a thread) ─▶ ready ─▶ SIGTERM ─▶ drain ─▶ end
```
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import gc
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from tastemaker.errors import ConfigError
from tastemaker.log import logger
from tastemaker.recommend import artifact as artifacts
from tastemaker.recommend.language import Language, LanguageSettings
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.app import app
from tastemaker.serve.batcher import Batcher
from tastemaker.serve.door import behind
from tastemaker.serve.http import HttpSettings
from tastemaker.serve.monitor import Monitor
from tastemaker.serve.registry import Registry, beside
from tastemaker.serve.runner import JobSettings, Runner
from tastemaker.serve.service import Service
from tastemaker.serve.settings import GateSettings, ServeSettings
from tastemaker.serve.telemetry import Spans
from tastemaker.settings import Settings
from tastemaker.store.base import ModelVersion, Store, open_store

_DRAIN_SECONDS = 30
_COLLECT = 20_000, 20, 50
"""A batch of events makes ten thousand objects and no cycle: Python's own thresholds look through them a dozen times."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MALLOC = {_M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 128 << 20}
"""Bytes: blocks up to the first come from memory that is kept, of which up to the second is idle."""
_SECTIONS: dict[str, type[Settings]] = {
    "serve": ServeSettings,
    "http": HttpSettings,
    "gate": GateSettings,
    "jobs": JobSettings,
    "language": LanguageSettings,
}


@dataclass(frozen=True)
class Plan:
    """What to serve, and where."""

    store: str
    artifact: Path | None = None
    """None: the store's promoted version, and each one promoted later"""
    host: str = "127.0.0.1"
    port: int = 8000
    """0: any that is free"""
    insecure: bool = False
    """open to the network without a key"""
    models: Path | None = None
    """folder of versions"""
    runs: Path | None = None
    """folder of a ledger of runs to show; None: `$TASTEMAKER_RUNS`, else `runs` beside the store, where there is a ledger"""
    threads: int | None = None
    """of the model; None: all cores but one"""
    access_log: bool = True
    slow_ms: float = 250.0
    telemetry: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """sections serve, http, gate, jobs, language"""


@dataclass(frozen=True)
class Started:
    """What is told once requests are answered by a warm model."""

    url: str
    open: bool
    """whether everybody who reaches it may do everything"""
    model: str | None
    """name and version; None: only lists for everybody"""
    item: str | None
    """an id that there is, for an example"""


def _runs(plan: Plan) -> Path | None:
    """The folder of the ledger whose runs are shown; None: there is none."""
    told = os.environ.get("TASTEMAKER_RUNS")
    places = [Path(told)] if told else [beside(plan.store).with_name("runs")]
    return plan.runs or next((one for one in places if (one / "ledger.db").is_file()), None)


def serve(plan: Plan, on_address: Callable[[str, bool], None], on_ready: Callable[[Started], None]) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is under way and returns.

    Args:
        plan: what and where.
        on_address: gets the address and whether the service is open, before the model is there.
        on_ready: called once the model is.

    Raises:
        ConfigError: it would be open to the network, the address cannot be had, or a setting does not hold.
        ArtifactError: the artifact is damaged.
        StoreError: the store cannot be opened.
    """
    import torch

    if unknown := sorted(plan.settings.keys() - _SECTIONS.keys()):
        raise ConfigError(f"unknown section {unknown[0]!r}", expected=f"one of {', '.join(_SECTIONS)}")
    sections: dict[str, Any] = {name: kind.parse(plan.settings.get(name, {}), name) for name, kind in _SECTIONS.items()}
    if plan.artifact is not None:
        artifacts.read_manifest(plan.artifact)  # a wrong folder is told at once
    torch.set_num_threads(plan.threads or max(1, (os.cpu_count() or 1) - 1))
    _keep_pages()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(plan.store))
        open_ = not store.keys()
        local = _is_loopback(plan.host)
        if open_ and not local and not plan.insecure:
            raise ConfigError(
                f"no key in the store and the address {plan.host}, which others can reach",
                expected="a key",
                hint="make one with `tastemaker keys create --scopes admin`, or say --insecure if everybody may do everything",
            )
        listening = stack.enter_context(_listening(plan.host, plan.port))
        url = _url(listening, plan.host)
        language = Language.of(sections["language"])
        if language is not None:
            stack.enter_context(language)
        service = stack.enter_context(Service(store, settings=sections["serve"], language=language))
        registry = None if plan.artifact is not None else Registry(store, plan.models, limits=sections["gate"])
        application = app(
            service,
            Batcher(service),
            store,
            registry=registry,
            monitor=Monitor(slow_ms=plan.slow_ms) if plan.access_log else Monitor(slow_ms=plan.slow_ms, log=None),
            settings=sections["http"].model_copy(update={"local_only": local and sections["http"].local_only}),
            spans=Spans() if plan.telemetry else None,
            runs=_runs(plan),
        )
        server = uvicorn.Server(_config(application))
        application.state.broadcast.closing = lambda: server.should_exit
        failed: list[BaseException] = []

        def bring_up() -> None:
            try:
                _take_model(plan, service, registry, sections["jobs"], store, stack)
                service.warm()
                # A full round of the collector over a large catalogue halts all threads for half a second; what is here now stays.
                gc.freeze()
                gc.set_threshold(*_COLLECT)
                gc.enable()
                version, ids = service.version, service.view.ids
                name = None if version is None else f"{version.name} {version.version}".removesuffix(" 0")
                on_ready(Started(url, open_, name, ids[2] if len(ids) > 2 else None))
            except BaseException as error:
                failed.append(error)
                server.should_exit = True

        on_address(url, open_)
        thread = threading.Thread(target=bring_up, name="bring-up")
        thread.start()
        try:
            with _harmless(signal.SIGTERM), _harmless(signal.SIGINT):
                server.run(sockets=[listening])
        finally:
            thread.join()
            gc.unfreeze()  # what was set aside is let go in order when Python ends; DuckDB complains of what is not, at length
        if failed:
            raise failed[0]


def _keep_pages() -> None:
    """Has the C library keep what a request frees for the next one: fresh pages from the system cost a tenth of a request."""
    with contextlib.suppress(OSError, AttributeError):  # there is no such call but in glibc
        mallopt = ctypes.CDLL(None).mallopt
        for setting, size in _MALLOC.items():
            mallopt(setting, size)


def _take_model(
    plan: Plan, service: Service, registry: Registry | None, jobs: JobSettings, store: Store, stack: contextlib.ExitStack
) -> None:
    if plan.artifact is not None:
        manifest = artifacts.read_manifest(plan.artifact)
        made = int(dt.datetime.fromisoformat(manifest.created).timestamp() * 1e6)
        service.swap(artifacts.load(plan.artifact), ModelVersion(manifest.model.name, 0, str(plan.artifact), made, "promoted"))
        return

    def take(recommender: Recommender | None, version: ModelVersion | None) -> None:
        service.swap(recommender, version)

    assert registry is not None
    stack.callback(registry.watch(take).start().stop)
    if store.url != "memory:":
        stack.callback(Runner(registry, jobs, url=plan.store).start().stop)


def _config(application: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=behind(application.state.door),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Head and body of an answer are two writes: without this the second waits for the client's acknowledgement, up to 40 ms.
        # uvloop sees to it itself; asyncio leaves out sockets that were made for it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be had: {error.strerror or error}",
            expected="a free address",
            hint="--port 0 takes any free port",
        ) from None


def _url(listening: socket.socket, host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{listening.getsockname()[1]}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _harmless(number: signal.Signals) -> Any:
    """Uvicorn raises a signal again after it has drained; that must not end the process with an error."""

    def noted(number: int, frame: FrameType | None) -> None:
        logger.info("signal %d: drained", number)

    before = signal.signal(number, noted)
    try:
        yield
    finally:
        signal.signal(number, before)
