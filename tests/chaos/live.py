"""Starting servers, asking them, and how long a test may take: seconds, or with TASTEMAKER_CHAOS=full as long as the promise says."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import httpx
from bench.serve.process import Process, service

FULL = os.environ.get("TASTEMAKER_CHAOS") == "full"
PATIENCE = 30.0 if FULL else 300.0
"""Seconds until a server must be ready, however busy the machine is with other tests."""

_names = itertools.count()


def chosen(fast: Any, full: Any) -> Any:
    """What the short form of a test takes, or the long one."""
    return full if FULL else fast


def started(store: str, folder: Path, *more: str, artifact: Path | None = None) -> Process:
    """A server process; its log is `server.log` in the folder."""
    return service(store, folder / "server.log", "--threads", "1", *more, artifact=artifact)


def new(word: str) -> str:
    """A name nobody else has."""
    return f"{word}-{os.getpid()}-{next(_names)}"


def sent(client: httpx.Client, *rows: dict[str, Any]) -> dict[str, Any]:
    """Sends events; what became of them."""
    answer = client.post("/v1/events", json={"events": list(rows)})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def recommended(client: httpx.Client, user: str, **more: Any) -> dict[str, Any]:
    """A list for a user."""
    answer = client.post("/v1/recommendations", json={"user_id": user, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["item_id"] for one in answer["items"]]
