"""What HTTP costs beyond the service's own work: CPU of the server process for each request, less CPU of the same call without HTTP.

    python -m bench.http_overhead [--requests 4000] [--connections 1 8]

The server is `tastemaker serve` in a process of its own, over 200 users and 40 items in SQLite with an item_knn model, so that little but
overhead is left; its CPU is what the kernel counts for the process, all its threads included. The client sends ready-made bytes over
kept-alive sockets and counts answers by their length header; it costs a few µs and is not counted. "direct" is the same request given to
the same service in this process, decoded and encoded by nobody. With several connections requests are gathered, so the service's part
falls below "direct" and the difference with it: one connection is the honest figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tastemaker.data.synthetic import two_tastes
import tastemaker as tm
from tastemaker.experiment.api import train_model
from tastemaker.recommend import artifact
from tastemaker.serve.service import Service
from tastemaker.wire.bodies import EventBody, Recommend
from tastemaker.store.base import Event, open_store

TICKS = os.sysconf("SC_CLK_TCK")


def prepare(folder: Path) -> None:
    """A store and an artifact."""
    rows = two_tastes(200, 40, generator=0).dataset.interactions
    now = time.time_ns() // 1000 - len(rows) * 1_000_000
    events = [
        Event(f"u{user}", f"i{item}", now + place * 1_000_000)
        for place, (user, item) in enumerate(zip(rows.user.tolist(), rows.item.tolist(), strict=True))
    ]
    with open_store(f"sqlite:///{folder}/store.db") as store:
        store.add_events(events)
    frame = {
        "user_id": [one.user_id for one in events],
        "item_id": [one.item_id for one in events],
        "time": [one.time for one in events],
    }
    artifact.save(train_model("item_knn", tm.load(frame)), folder / "artifact")


def serve(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A server that is ready, and its port."""
    verb = ["serve", str(folder / "artifact"), "--store", f"sqlite:///{folder}/store.db", "--port", "0", "--json"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "tastemaker", *verb], stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    return server, int(told["url"].rpartition(":")[2])


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
    cpu, wall = cpu_of(pid), time.perf_counter()
    asyncio.run(work(requests, 0))
    return (cpu_of(pid) - cpu) / requests * 1e6, requests / (time.perf_counter() - wall)


def direct(call: Callable[[int], object], requests: int) -> float:
    """CPU µs of a call without HTTP."""
    for n in range(100):
        call(10_000_000 + n)
    cpu = time.process_time()
    for n in range(requests):
        call(n)
    return (time.process_time() - cpu) / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "http_overhead.json")
    options = parser.parse_args()
    run = f"{time.time_ns():x}"
    over_http: dict[str, Callable[[int], bytes]] = {
        "livez": lambda n: request("GET", "/livez"),
        "recommend": lambda n: request("POST", "/v1/recommendations", {"user_id": f"u{2 + n % 200}", "limit": 10}),
        "events": lambda n: request(
            "POST",
            "/v1/events",
            {"events": [{"user_id": f"u{2 + n % 200}", "item_id": f"i{2 + n % 40}", "event_id": f"{run}-{n}"}]},
        ),
        "popular": lambda n: request("GET", "/v1/popular?limit=10"),
    }
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        own: dict[str, float] = {"livez": 0.0}
        with open_store(f"sqlite:///{folder}/store.db") as store, Service(store) as service:
            service.swap(artifact.load(folder / "artifact"))
            service.warm()
            own["recommend"] = direct(lambda n: service.recommend([Recommend(user_id=f"u{2 + n % 200}")]), options.requests)
            own["events"] = direct(
                lambda n: service.feedback(
                    [EventBody(user_id=f"u{2 + n % 200}", item_id=f"i{2 + n % 40}", event_id=f"{run}-direct-{n}")]
                ),
                options.requests,
            )
            own["popular"] = direct(lambda n: service.popular(), options.requests)
        server, port = serve(folder)
        try:
            for route, make in over_http.items():
                for connections in options.connections:
                    total, rate = measured(port, server.pid, make, options.requests, connections)
                    row = {
                        "route": route,
                        "connections": connections,
                        "server_cpu_us": round(total),
                        "direct_cpu_us": round(own[route]),
                    }
                    row |= {"overhead_us": round(total - own[route]), "requests_per_second": round(rate)}
                    rows.append(row)
                    print(row, flush=True)
        finally:
            server.terminate()
            assert server.wait(40) == 0, server.returncode
    facts = {"python": platform.python_version(), "cpus": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}
    options.out.write_text(json.dumps({"requests": options.requests, **facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
