"""What HTTP costs beyond the service's own work: CPU of a server whose service answers at once.

    python bench/http_overhead.py [--requests 1000] [--connections 1 8]

The server is the real one (uvicorn, httptools, uvloop, the table of routes, batcher, threads, metrics, log lines) in a process of its own; of the
service the three hot methods are replaced by ready answers of ten items, so what is left is HTTP alone: sockets, reading, checking, the way
to a thread and back, writing, counting. Its CPU is what the kernel counts for the process, all threads included. The client sends
ready-made bytes over kept-alive sockets from another process. The best of some rounds counts, since other work on the machine only adds;
`load_average` tells how much of it there was. `livez` is a request that reaches no service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")


def serve() -> None:
    """The server process; prints its port."""
    import uvicorn

    from tastemaker.serve.app import app
    from tastemaker.serve.asks import Ask
    from tastemaker.serve.batcher import Batcher
    from tastemaker.serve.monitor import Monitor
    from tastemaker.serve.service import Service
    from tastemaker.store.base import open_store
    from tastemaker.wire.bodies import Answer, EventsTaken, Shelf

    ready = Answer(
        recommendation_id="01J8Z3V5Q0M9K7N2T4R6W8Y0AB",
        items=[Shelf(item_id=f"item-{n}", rank=n, source="sasrec") for n in range(1, 11)],
    )

    class Instant(Service):
        """Answers at once."""

        def answer(self, asks: Sequence[Ask]) -> list[Any]:
            return [ready] * len(asks)

        def feedback(self, events: Sequence[Any]) -> EventsTaken:
            return EventsTaken(accepted=len(events), duplicates=0, rejected=[])

        def popular(self, *_: Any, **__: Any) -> Answer:
            return ready

    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(f"sqlite:///{folder}/store.db") as store,
        Instant(store) as service,
    ):
        service.warm()
        listening = socket.create_server(("127.0.0.1", 0))
        print(listening.getsockname()[1], flush=True)
        application = app(service, Batcher(service), store, monitor=Monitor())
        uvicorn.Server(
            uvicorn.Config(application, http="httptools", ws="none", log_config=None, access_log=False, server_header=False)
        ).run(sockets=[listening])


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def request(verb: str, path: str, body: Any = None) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if content:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


async def ask(port: int, requests: list[bytes]) -> None:
    """Sends requests one after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for one in requests:
        writer.write(one)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head[9:12] in (b"200", b"202"), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


def measured(port: int, pid: int, make: Callable[[int], bytes], requests: int, connections: int) -> tuple[float, float]:
    """CPU µs of the server a request, and requests a second."""

    async def work(count: int, first: int) -> None:
        each = count // connections
        await asyncio.gather(
            *(ask(port, [make(first + place * each + n) for n in range(each)]) for place in range(connections))
        )

    asyncio.run(work(200, 10_000_000))
    found = []
    for place in range(ROUNDS):
        cpu, wall = cpu_of(pid), time.perf_counter()
        asyncio.run(work(requests, place * requests))
        found.append(((cpu_of(pid) - cpu) / requests * 1e6, requests / (time.perf_counter() - wall)))
    return min(found)


ROUTES: dict[str, Callable[[int], bytes]] = {
    "livez": lambda n: request("GET", "/livez"),
    "recommend": lambda n: request("POST", "/v1/recommendations", {"user_id": f"user-{n}", "limit": 10}),
    "events": lambda n: request(
        "POST", "/v1/events", {"events": [{"user_id": f"user-{n}", "item_id": "item-1", "event_id": f"event-{n}"}]}
    ),
    "popular": lambda n: request("GET", "/v1/popular?limit=10"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "http_overhead.json")
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    rows = []
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            for route, make in ROUTES.items():
                for connections in options.connections:
                    cpu, rate = measured(port, server.pid, make, options.requests, connections)
                    rows.append(
                        {"route": route, "connections": connections, "cpu_us": round(cpu), "requests_per_second": round(rate)}
                    )
                    print(rows[-1], flush=True)
        finally:
            server.terminate()
    facts = {"python": platform.python_version(), "cpus": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}
    options.out.write_text(json.dumps({"requests": options.requests, "rounds": ROUNDS, **facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
