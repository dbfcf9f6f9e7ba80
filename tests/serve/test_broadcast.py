"""News: asked for once however many listen, told where it differs, over HTTP as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve import towns
from tests.serve.serving import Server, serving

from tastemaker.errors import OverloadError, RequestError, StoreError
from tastemaker.serve.broadcast import Broadcast, Topic
from tastemaker.serve.limits import Threads
from tastemaker.store.base import ModelVersion


async def heard(broadcast: Broadcast, names: list[str], count: int) -> list[tuple[str, Any]]:
    news = []
    async with contextlib.aclosing(broadcast.listen(names)) as events, asyncio.timeout(10):
        async for event in events:
            if event is not None:
                news.append(event)
            if len(news) == count:
                break
    return news


def test_ten_listeners_ask_once() -> None:
    asked: list[float] = []

    def ask() -> int:
        asked.append(time.monotonic())
        return len(asked)

    async def listen() -> list[list[tuple[str, Any]]]:
        threads = Threads("test", workers=2, waiting=8)
        broadcast = Broadcast(threads)
        broadcast.carry({"count": Topic(ask, seconds=0.3)})
        found = await asyncio.gather(*(heard(broadcast, ["count"], 2) for _ in range(10)))
        assert broadcast.listeners == 0
        threads.close()
        return found

    assert asyncio.run(listen()) == [[("count", 1), ("count", 2)]] * 10
    assert len(asked) == 2


def test_what_is_the_same_is_told_once_and_a_store_away_changes_nothing() -> None:
    answers = iter([1, 1, StoreError("away"), 1, 2])

    def ask() -> int:
        answer = next(answers, 2)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def listen() -> list[tuple[str, Any]]:
        threads = Threads("test", workers=1, waiting=8)
        broadcast = Broadcast(threads)
        broadcast.carry({"same": Topic(ask, seconds=0.01)})
        found = await heard(broadcast, [], 2)
        threads.close()
        return found

    assert asyncio.run(listen()) == [("same", 1), ("same", 2)]


def test_too_many_and_unknown_topics_are_refused() -> None:
    async def listen() -> None:
        threads = Threads("test", workers=1, waiting=8)
        broadcast = Broadcast(threads, most=1)
        broadcast.carry({"one": Topic(lambda: 1)})
        with pytest.raises(RequestError, match="'two'"):
            broadcast.listen(["two"])
        async with contextlib.aclosing(broadcast.listen(["one"])) as events:
            assert await anext(events) == ("one", 1)
            with pytest.raises(OverloadError):
                broadcast.listen(["one"])
        broadcast.listen(["one"])
        threads.close()

    asyncio.run(listen())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town")) as found:
        yield found


def test_a_swap_is_heard_over_http(server: Server) -> None:
    with server.client.stream("GET", "/v1/live?topics=model") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "event: model"
        assert json.loads(next(lines).removeprefix("data: "))["version"] is None
        server.service.swap(towns.model("item_knn"), ModelVersion("item_knn", 7, "", 1_700_000_000_000_000, "promoted"))
        found = [next(lines) for _ in range(3)]
        assert json.loads(found[2].removeprefix("data: ")) == {
            "ready": True,
            "name": "item_knn",
            "version": 7,
            "created": "2023-11-14T22:13:20Z",
        }


def test_who_leaves_is_forgotten_and_holds_nothing_up(server: Server) -> None:
    with server.client.stream("GET", "/v1/live") as answer:
        next(answer.iter_lines())
    assert server.client.get("/livez").status_code == 200
    unknown = server.client.get("/v1/live?topics=nothing")
    assert unknown.status_code == 422 and unknown.json()["code"] == "topic"


def test_the_end_of_the_process_ends_streams(tmp_path: Path) -> None:
    with contextlib.ExitStack() as serves:
        server = serves.enter_context(serving(tmp_path))
        with httpx.stream("GET", f"{server.url}/v1/live", timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: model"
            began = time.monotonic()
            ending = threading.Thread(target=serves.pop_all().close)
            ending.start()
            assert "" in list(lines)  # ends, which is the claim
        ending.join(20)
        assert not ending.is_alive() and time.monotonic() - began < 5
