"""Prepare 20 million synthetic events (Parquet in, Dataset out) on two cores: seconds and peak memory. Bar: 120 s, 8 GB.

The world: 500,000 users with log-normal activity, 100,000 items with Zipf-like popularity, text ids for both, times over a year, three kinds
of behaviour, one row in a hundred repeated. All of the usual steps run: duplicates, a daily cap, 5-core, the newest 500 of a user.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS, USERS, ITEMS, BLOCK = 20_000_000, 500_000, 100_000, 1_000_000
RESULTS = Path(__file__).parent / "results"


def write_world(path: Path, events: int = EVENTS, seed: int = 0) -> None:
    """Writes the synthetic events, a million at a time."""
    generator = np.random.default_rng(seed)
    activity = np.cumsum(generator.lognormal(0, 1.2, USERS))
    users = pa.array([f"user-{number:07}" for number in range(USERS)])
    items = pa.array([f"sku-{number:06}" for number in range(ITEMS)])
    kinds = pa.array(["cart", "purchase", "view"])
    writer = None
    for _ in range(0, events, BLOCK):
        rows = min(BLOCK, events)
        user = np.searchsorted(activity, generator.random(rows) * activity[-1])
        item = np.minimum((ITEMS ** generator.random(rows)).astype(np.int64) - 1, ITEMS - 1)
        repeat = generator.random(rows) < 0.01
        stamp = generator.integers(1_700_000_000, 1_731_536_000, rows)
        kind = np.searchsorted([0.06, 0.1], generator.random(rows)).clip(0, 2)
        for column in (user, item, stamp, kind):
            column[1:][repeat[1:]] = column[:-1][repeat[1:]]
        table = pa.table(
            {
                "user_id": users.take(pa.array(user)),
                "item_id": items.take(pa.array(item)),
                "timestamp": stamp,
                "event_type": kinds.take(pa.array(kind)),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def measure(path: Path) -> dict[str, object]:
    """Prepares the file in this process and reports on it."""
    from tastemaker.data.config import DataConfig
    from tastemaker.data.load import load_dataset

    config = DataConfig(
        events=str(path),
        kinds={"view": 1, "cart": 3, "purchase": 5},
        max_per_user_per_day=200,
        min_per_user=5,
        min_per_item=5,
        keep_last=500,
        memory_gb=4,
        threads=2,
    )
    start, cpu = time.perf_counter(), time.process_time()
    dataset, report = load_dataset(config)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "events_in": report.rows,
        "events_out": len(dataset.interactions),
        "users": len(dataset.users),
        "items": len(dataset.items),
        "fingerprint": dataset.fingerprint[:16],
    }


def main() -> dict[str, object]:
    """Makes the world, measures in a process of its own on two cores, writes a dated result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        write_world(path)
        cores = sorted(os.sched_getaffinity(0))[:2]
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(path)],
            check=True,
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        result = {
            "bench": "prepare_20m",
            "file_mb": round(path.stat().st_size / 2**20),
            **json.loads(done.stdout.splitlines()[-1]),
        }
    now = datetime.now(UTC)
    result["load_average"] = [round(load, 1) for load in os.getloadavg()]
    result |= {"cores": len(cores), "date": now.isoformat(timespec="seconds"), "command": "python bench/prepare_20m.py"}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"prepare_20m-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        main()
