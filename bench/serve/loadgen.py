"""A load generator: keep-alive connections, raw HTTP/1.1, one process, no library that could be the bottleneck.

    load(url, requests, rate=200, seconds=20)       open loop: a constant rate of arrivals, whatever becomes of them
    load(url, requests, clients=16, seconds=20)     closed loop: each client asks again as soon as it is answered

In the open loop a request's time counts from when it was due, not from when it could be sent, so a server that stalls pays for every
request that would have come meanwhile (no coordinated omission). `late_ms_p99` tells how late the generator itself sent.

    python -m bench.serve.loadgen < JOB        reads a job as JSON, writes a report as JSON: `in_process` does that
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MOST = 2000
"""Connections at most; a request that finds none free waits, and its time runs."""


@dataclass
class Report:
    """What became of the requests."""

    asked: int = 0
    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    """by status; "broken" for a connection that ended, "unanswered" for what was open at the end"""
    ok_per_second: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    most: float = 0.0
    """ms, of those answered with 2xx"""
    refused_p99: float = 0.0
    """ms, of those answered with 429 or 503"""
    without_retry_after: int = 0
    degraded: int = 0
    """lists that came without the model or the history, among those answered with 2xx"""
    late_ms_p99: float = 0.0
    cpu_ms_each: float = 0.0
    """of the generator itself"""
    units: int = 0
    """what `unit` of a request says, summed over those answered with 2xx"""

    @property
    def failed(self) -> int:
        """Answers that are neither 2xx nor an honest refusal."""
        return sum(count for status, count in self.statuses.items() if status[0] != "2" and status not in ("429", "503"))


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, run: Run) -> None:
        self._run, self._buffer, self._due, self._unit = run, b"", 0.0, 0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def ask(self, request: bytes, due: float, unit: int) -> None:
        self.busy, self._due, self._unit = True, due, unit
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        size = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + size:
            return
        degraded = b'"status":"degraded"' in self._buffer
        self._buffer, self.busy = b"", False
        self._run.answered(self, head, self._due, self._unit, degraded=degraded)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost(self, self.busy)


class Run:
    """One load, from the first request to the report."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], units: Sequence[int] | None) -> None:
        self._host, self._port, self._requests, self._units = host, port, requests, units
        self._statuses: Counter[str] = Counter()
        self._times: list[float] = []
        self._refused: list[float] = []
        self._late: list[float] = []
        self._waiting: deque[float] = deque()
        self._free: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening, self._next, self._hinted, self._degraded, self._done_units = 0, 0, 0, 0, 0
        self._again = False
        self._end = 0.0

    async def open_loop(self, rate: float, seconds: float) -> Report:
        await self._connect(min(16, MOST))
        cpu, started = time.process_time(), time.perf_counter()
        self._end = started + seconds
        for place in range(int(rate * seconds)):
            due = started + place / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            elif place % 64 == 0:
                await asyncio.sleep(0)
            self._waiting.append(due)
            self._send()
        await self._drain(5.0)
        return self._report(time.process_time() - cpu, seconds)

    async def closed_loop(self, clients: int, seconds: float) -> Report:
        await self._connect(clients)
        cpu, started = time.process_time(), time.perf_counter()
        self._end, self._again = started + seconds, True
        for _ in range(clients):
            self._waiting.append(started)
        self._send()
        while (left := self._end - time.perf_counter()) > 0 and (self._open or self._opening) and not self._spent:
            await asyncio.sleep(min(left, 0.05))
        self._again = False
        took = time.perf_counter() - started
        await self._drain(5.0)
        return self._report(time.process_time() - cpu, took)

    @property
    def _spent(self) -> bool:
        """Whether requests that may be sent once only have all been sent."""
        return self._units is not None and self._next >= len(self._requests)

    async def _connect(self, count: int) -> None:
        await asyncio.gather(*(self._dial() for _ in range(count)))
        if not self._open:
            raise SystemExit(f"no connection to {self._host}:{self._port}")

    async def _dial(self) -> None:
        self._opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self), self._host, self._port)
            self._open.add(connection)
            self._free.append(connection)
        except OSError:
            self._statuses["broken"] += 1
        finally:
            self._opening -= 1
        self._send()

    def _send(self) -> None:
        while self._waiting and self._free:
            if self._spent:
                self._waiting.clear()
                return
            due, connection = self._waiting.popleft(), self._free.pop()
            place = self._next % len(self._requests)
            self._next += 1
            self._late.append(time.perf_counter() - due)
            connection.ask(self._requests[place], due, self._units[place] if self._units else 0)
        if len(self._waiting) > self._opening and len(self._open) + self._opening < MOST:
            asyncio.get_running_loop().create_task(self._dial())

    def answered(self, connection: Connection, head: bytes, due: float, unit: int, *, degraded: bool) -> None:
        now, status = time.perf_counter(), head[9:12].decode()
        self._degraded += degraded
        self._statuses[status] += 1
        if status[0] == "2":
            self._times.append(now - due)
            if not self._again or now <= self._end:
                self._done_units += unit
        elif status in ("429", "503"):
            self._refused.append(now - due)
            self._hinted += b"\r\nretry-after:" in head
        self._free.append(connection)
        if self._again and now < self._end:
            self._waiting.append(now)
        self._send()

    def lost(self, connection: Connection, busy: bool) -> None:
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if busy:
            self._statuses["broken"] += 1
        if self._again and time.perf_counter() < self._end:
            self._waiting.append(time.perf_counter())
            self._send()

    async def _drain(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until and (self._waiting or any(one.busy for one in self._open)):
            await asyncio.sleep(0.02)
        left = len(self._waiting) + sum(one.busy for one in self._open)
        if left:
            self._statuses["unanswered"] += left
        for connection in list(self._open):
            connection.busy = False
            connection.transport.abort()

    def _report(self, cpu: float, seconds: float) -> Report:
        ms = lambda values, q: round(float(np.quantile(values, q)) * 1000, 2) if values else 0.0
        refused = sum(self._statuses[one] for one in ("429", "503"))
        return Report(
            asked=self._next,
            seconds=round(seconds, 2),
            statuses=dict(sorted(self._statuses.items())),
            ok_per_second=round(len(self._times) / seconds, 1),
            p50=ms(self._times, 0.5),
            p90=ms(self._times, 0.9),
            p99=ms(self._times, 0.99),
            p999=ms(self._times, 0.999),
            most=ms(self._times, 1.0),
            refused_p99=ms(self._refused, 0.99),
            without_retry_after=refused - self._hinted,
            degraded=self._degraded,
            late_ms_p99=ms(self._late, 0.99) if not self._again else 0.0,
            cpu_ms_each=round(cpu / max(1, self._next) * 1000, 3),
            units=self._done_units,
        )


def load(
    url: str,
    requests: Sequence[bytes],
    *,
    seconds: float,
    rate: float | None = None,
    clients: int | None = None,
    units: Sequence[int] | None = None,
) -> Report:
    """Runs a load in this process.

    Args:
        url: of the server: http://HOST:PORT.
        requests: whole HTTP requests, sent in turn, from the start again where they end.
        seconds: how long requests are sent; answers have 5 more.
        rate: requests a second, for the open loop.
        clients: for the closed loop.
        units: what each request carries, such as events; with it no request is sent twice.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    run = Run(host, int(port), requests, units)
    work = run.open_loop(rate, seconds) if rate is not None else run.closed_loop(clients or 1, seconds)
    with asyncio.Runner(loop_factory=_precise if rate is not None and rate <= 500 else _fast) as runner:
        return runner.run(work)


def in_process(url: str, requests: Sequence[bytes], **how: Any) -> Report:
    """`load` in a process of its own, whose interpreter does nothing else."""
    job = {"url": url, "requests": [base64.b64encode(one).decode() for one in requests], **how}
    done = subprocess.run(
        [sys.executable, "-m", "bench.serve.loadgen"],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    return Report(**json.loads(done.stdout))


def request(verb: str, path: str, body: Any = None) -> bytes:
    """A whole request; `body` becomes JSON unless it is bytes already."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "content-type: application/json\r\n" if content else ""
    return f"{verb} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{kind}content-length: {len(content)}\r\n\r\n".encode() + content


def _precise() -> asyncio.AbstractEventLoop:
    """Timers to the microsecond: epoll and uvloop round up to a millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _fast() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    job = json.load(sys.stdin)
    requests = [base64.b64decode(one) for one in job.pop("requests")]
    print(json.dumps(asdict(load(job.pop("url"), requests, **job))))


if __name__ == "__main__":
    main()
