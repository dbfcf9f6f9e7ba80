"""What a handler gets and may return."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastemaker.serve.auth import Keyring, Principal
from tastemaker.serve.limits import Threads

if TYPE_CHECKING:
    from tastemaker.serve.batcher import Batcher
    from tastemaker.serve.broadcast import Broadcast
    from tastemaker.serve.drift import Drifts
    from tastemaker.serve.lately import Lately
    from tastemaker.serve.monitor import Monitor
    from tastemaker.serve.registry import Registry
    from tastemaker.serve.route import Table
    from tastemaker.serve.service import Service
    from tastemaker.settings import Settings
    from tastemaker.store.base import Store
    from tastemaker.wire.bodies import Answer
    from tastemaker.wire.data import Intake
    from tastemaker.wire.lineage import System


@dataclass(slots=True)
class Parts:
    """What the service is made of, as handlers see it."""

    service: Service
    batcher: Batcher
    store: Store
    registry: Registry | None
    keyring: Keyring
    monitor: Monitor
    lists: Threads
    """for answers whose questions to the store have budgets: nothing that hangs may stand before them"""
    reads: Threads
    writes: Threads
    """apart, so that a slow disk does not hold up answers"""
    words: Threads
    """for answers that wait for a language model"""
    control: Threads
    """for what takes seconds: promoting judges a model"""
    table: Table
    broadcast: Broadcast
    """what is told as it changes"""
    drifts: Drifts
    intake: Lately[Intake]
    machine: Lately[System]
    settings: Mapping[str, Settings]
    """in force, by section"""
    runs: Path | None = None
    """folder of a ledger of runs"""
    document: bytes = b""
    """the OpenAPI document"""
    listed: dict[tuple[Any, ...], tuple[float, Answer]] = field(default_factory=dict)
    """lists for everybody of the last moment, and when they were made"""


@dataclass(slots=True)
class Call:
    """A request that was let in, checked and decoded."""

    parts: Parts
    principal: Principal
    ids: Mapping[str, str]
    """from the path"""
    query: Any
    body: Any
    """None where a stream of rows is to be read from `stream`"""
    request_id: str
    stream: Callable[[], AsyncIterator[bytes]] | None = None
    user: str | None = None
    """the user of a browser's token"""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Raw:
    """An answer that is not a struct."""

    content: bytes
    media: str
    status: int = 200
    headers: Mapping[str, str] | None = None


@dataclass(slots=True)
class Stream:
    """An answer that goes on until the reader leaves: server-sent events, each a name and a struct; None where there is none at the moment."""

    source: AsyncGenerator[tuple[str, Any] | None]
