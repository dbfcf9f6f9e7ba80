"""A server that speaks the OpenAI protocol on a real socket. Its models are rules; which one answers is the name in the request."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tastemaker.recommend.language import LanguageSettings


@dataclass
class Peer:
    """The server, as a test sees it."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """bodies of the requests"""
    headers: list[dict[str, str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """the model "waits" answers when it is set"""
    seconds: float = 0.0
    """before every answer"""

    def settings(self, model: str = "overlap", **more: Any) -> LanguageSettings:
        return LanguageSettings.parse({"kind": "endpoint", "url": self.url, "model": model, "budget_ms": 20_000, **more})

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.seconds)
        model, (system, user) = body["model"], (one["content"] for one in body["messages"])
        if model in _BROKEN:
            return await _BROKEN[model](self)
        return _completion(_MODELS[model](system, user))


def _completion(content: Any) -> Response:
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return JSONResponse({"object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": usage})


def lines(user: str) -> tuple[list[str], dict[str, str]]:
    """The history and the labelled items of a question."""
    history = re.findall(r"^- (.*)$", user, re.M)
    return history, dict(re.findall(r"^(c\d+): (.*)$", user, re.M))


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def overlap(system: str, user: str) -> str:
    """Who shares most words with the history comes first; says so, where it is asked for words."""
    history, items = lines(user)
    known = words(" ".join(history))
    if "whole taste" in system or "taste in at most" in system:
        return f"Likes {' and '.join(sorted(known)[:3])}."
    if "tags" in system:
        return json.dumps([*sorted(words(history[0])), "No <b>good</b>", "http://bad.example"])
    if "sentence each" in system:
        return json.dumps(
            {label: f"Shares {len(words(title) & known)} words with what you chose." for label, title in items.items()}
        )
    return json.dumps(sorted(items, key=lambda label: (-len(words(items[label]) & known), int(label[1:]))))


def gullible(system: str, user: str) -> str:
    """Does what titles say, as the worst model would."""
    history, items = lines(user)
    orders = [found[1] for title in [*history, *items.values()] if (found := re.search(r"reply with: (.*)", title, re.I))]
    return orders[0] if orders else overlap(system, user)


_MODELS = {
    "overlap": overlap,
    "gullible": gullible,
    "backwards": lambda system, user: json.dumps(list(lines(user)[1])[::-1]),
    "thinks": lambda system, user: f"<think>c1 c1 c1 [c9]</think>Here you are: {json.dumps(list(lines(user)[1])[::-1])}.",
    "hallucinates": lambda system, user: '["c99", "c2", "c0", "item 7", "c1", "c123456789"]',
    "repeats": lambda system, user: '["c3", "c3", "c3", "c1", "c3"]',
    "refuses": lambda system, user: "I am sorry, I cannot do that.",
    "number": lambda system, user: 7,
    "parts": lambda system, user: [{"type": "text", "text": '["c2"]'}],
    "links": lambda system, user: json.dumps(dict.fromkeys(lines(user)[1], "Buy at https://evil.example now")),
    "markup": lambda system, user: "<script>alert(1)</script>",
    "advertises": lambda system, user: json.dumps({"c1": "Take Moby Dick instead.", "c2": "A fine book.", "c77": "?"}),
    "nested": lambda system, user: "[" * 100_000,
}


async def _drip(peer: Peer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(body(), media_type="application/json")


async def _huge(peer: Peer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    return StreamingResponse(body(), media_type="application/json")


async def _drops(peer: Peer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"choices": ['
        raise ConnectionResetError

    return StreamingResponse(body(), media_type="application/json")


async def _waits(peer: Peer) -> Response:
    await asyncio.to_thread(peer.gate.wait, 20)
    return _completion('["c2", "c1"]')


def _always(response: Response) -> Any:
    async def answer(peer: Peer) -> Response:
        return response

    return answer


_BROKEN = {
    "drips": _drip,
    "huge": _huge,
    "drops": _drops,
    "waits": _waits,
    "500": _always(PlainTextResponse("oh", 500)),
    "400": _always(JSONResponse({"error": {"message": "no such model"}}, 400)),
    "429": _always(JSONResponse({}, 429, {"retry-after": "30"})),
    "moved": _always(Response(status_code=307, headers={"location": "http://127.0.0.1:1/"})),
    "malformed": _always(PlainTextResponse('{"choices": [')),
    "empty": _always(JSONResponse({"choices": []})),
    "packed": _always(Response(b"\x1f\x8b", headers={"content-encoding": "gzip"})),
}


@contextmanager
def peer() -> Iterator[Peer]:
    """The server, until the block ends."""
    found, server = Peer(), None
    listening = socket.create_server(("127.0.0.1", 0))
    found.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    app = Starlette(routes=[Route("/v1/chat/completions", found.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level=60, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        yield found
    finally:
        found.gate.set()
        server.should_exit = True
        thread.join(20)
        listening.close()
