"""How fast the store takes events and answers questions: python bench/store_ingest.py [--events 10000000] [--postgres URL]

The world of `prepare_20m` (500,000 users of log-normal activity, 100,000 items of Zipf-like popularity) is imported, then new events come in:
batches of 1,000 by one client and by four, single events by 16 threads, all durable when the call returns; ids of events are in the order of
time, as ULIDs and UUIDs of version 7 are, or random (version 4). Bars: 20,000 events/s in batches in SQLite, 10,000 in PostgreSQL, 500/s
singly, 0.3 ms for the history of a user.

`--postgres` (or TASTEMAKER_BENCH_POSTGRES) is an empty database; without it only SQLite is measured. CPU seconds are of this process alone;
the load average says how busy the machine was with other things.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prepare_20m import ITEMS, RESULTS, USERS, write_world
from tastemaker.store.base import Event
from tastemaker.store.bulk import load_events
from tastemaker.store.sql import SqlStore

NOW = 1_731_600_000_000_000
"""just after the world ends"""


class Stream:
    """New events of the same world, 1,000 a second of its clock."""

    def __init__(self) -> None:
        self._activity = np.cumsum(np.random.default_rng(0).lognormal(0, 1.2, USERS))
        self._draw = np.random.default_rng(1)
        self._time = NOW

    def users(self, number: int) -> list[str]:
        return [f"user-{n:07}" for n in np.searchsorted(self._activity, self._draw.random(number) * self._activity[-1])]

    def batch(self, number: int, *, random_ids: bool = False) -> list[Event]:
        items = np.minimum((ITEMS ** self._draw.random(number)).astype(np.int64) - 1, ITEMS - 1).tolist()
        found = []
        for user, item in zip(self.users(number), items, strict=True):
            self._time += 1000
            tail = self._draw.bytes(10).hex()
            name = tail + self._draw.bytes(6).hex() if random_ids else f"{self._time:012x}{tail}"
            found.append(Event(user, f"sku-{item:06}", self._time, "view", event_id=name))
        return found


def rate(work: Callable[[Any], Any], parts: list[Any], events: int, threads: int = 1) -> dict[str, float]:
    """Works on the parts and says how fast."""
    began, cpu, lengths = time.perf_counter(), time.process_time(), []

    def one(part: Any) -> None:
        start = time.perf_counter()
        work(part)
        lengths.append(time.perf_counter() - start)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, parts))
    seconds = time.perf_counter() - began
    return {
        "per_second": round(events / seconds),
        "cpu_us": round((time.process_time() - cpu) / events * 1e6, 1),
        "call_ms_p50": round(float(np.percentile(lengths, 50)) * 1000, 2),
        "call_ms_p99": round(float(np.percentile(lengths, 99)) * 1000, 2),
    }


def measure(url: str, world: pa.Table, batches: int) -> dict[str, Any]:
    stream, found = Stream(), {}
    with SqlStore(url) as store:
        began, cpu = time.perf_counter(), time.process_time()
        load_events(store, world)
        seconds = time.perf_counter() - began
        cpu_us = (time.process_time() - cpu) / len(world) * 1e6
        found["import"] = {"per_second": round(len(world) / seconds), "cpu_us": round(cpu_us, 1)}
        store.add_events(stream.batch(1000))
        for name, threads, random_ids in (
            ("batches", 1, False),
            ("batches_4_clients", 4, False),
            ("batches_random_ids", 1, True),
        ):
            parts = [stream.batch(1000, random_ids=random_ids) for _ in range(batches)]
            found[name] = rate(store.add_events, parts, batches * 1000, threads)
        found["singles_16_clients"] = rate(store.add_events, [stream.batch(1) for _ in range(batches * 20)], batches * 20, 16)
        lengthy = [user for user in dict.fromkeys(stream.users(5000)) if len(store.history(user, 50)) == 50][
            :200
        ] or stream.users(200)
        found["history_50"] = rate(lambda user: store.history(user, 50), lengthy * 5, len(lengthy) * 5)
        sixteens = [lengthy[start : start + 16] for start in range(0, len(lengthy), 16)] * 5
        found["histories_16"] = rate(lambda users: store.histories(users, 50), sixteens, sum(map(len, sixteens)))
        found["seen"] = rate(lambda user: store.seen([user]), lengthy * 5, len(lengthy) * 5)
        for name, days in (("hour", 1 / 24), ("day", 1), ("week", 7), ("month", 30), ("all", 20_000)):
            since = max(0, stream._time - int(days * 86_400_000_000))
            found[f"counts_{name}"] = rate(store.counts, [since] * 5, 5)
        figures = store.statistics()
        found["events"], found["bytes_per_event"] = figures["events"], round(figures["bytes_per_event"], 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--postgres", default=os.environ.get("TASTEMAKER_BENCH_POSTGRES"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder, "world.parquet"), arguments.events)
        world = pq.read_table(Path(folder, "world.parquet")).rename_columns(["user_id", "item_id", "time", "kind"])
        world = world.set_column(2, "time", pc.multiply(world["time"], 1_000_000))
        result: dict[str, Any] = {"bench": "store_ingest", "stored": arguments.events, "batches": arguments.batches}
        for name, url in (("sqlite", str(Path(folder, "store.db"))), ("postgresql", arguments.postgres)):
            if url:
                result[name] = measure(url, world, arguments.batches)
                print(json.dumps({name: result[name]}, indent=2), flush=True)
    now = datetime.now(UTC)
    result |= {"cores": os.cpu_count(), "load_average": [round(load, 1) for load in os.getloadavg()]}
    result |= {"date": now.isoformat(timespec="seconds"), "command": "python bench/store_ingest.py"}
    (RESULTS / f"store_ingest-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
