"""Search in a catalogue of a million items, and the map of a hundred thousand.

    OMP_NUM_THREADS=1 python bench/browse_catalogue.py [--items 1000000] [--points 100000]

Bars: a search ≤ 50 ms; a map ≤ 2 minutes of a core. The store, the service and its catalogue are real; titles (5 words) and descriptions (9) are drawn
from 75,000 made-up words by Zipf's law. The first search begins to take the
catalogue in; `taken_in_seconds` is what that costs a core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tastemaker.recommend.mapping.__main__ import laid_out
from tastemaker.serve.service import Service
from tastemaker.store.base import Item, open_store
from tastemaker.wire.browse import ItemsQuery

SYLLABLES = [one + other for one in "bcdfghjklmnprstvw" for other in ("a", "e", "i", "o", "u", "an", "er", "in")]


def made_up(count: int, draw: random.Random) -> list[Item]:
    """Items with titles and descriptions."""
    words = sorted({"".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(120_000)})
    draw.shuffle(words)
    weights = 1 / np.arange(1, len(words) + 1) ** 0.9
    rows = np.random.default_rng(0).choice(len(words), (count, 14), p=weights / weights.sum())
    return [
        Item(
            f"{place * 7 % 9_999_991:07d}{'ABCDE'[place % 5]}",
            {"title": " ".join(words[one] for one in row[:5]).title(), "description": " ".join(words[one] for one in row[5:])},
            (f"category {place % 300}",),
        )
        for place, row in enumerate(rows.tolist())
    ]


def resident() -> float:
    """Megabytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def asked(service: Service, queries: list[dict[str, Any]]) -> dict[str, float]:
    """Milliseconds of a page of 20."""
    took = []
    for query in queries:
        began = time.perf_counter()
        service.finder.items(ItemsQuery(limit=20, include=["numbers"], **query))
        took.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": round(float(np.percentile(took, 50)), 1), "p99_ms": round(float(np.percentile(took, 99)), 1)}


def searched(count: int) -> dict[str, Any]:
    """Searches of a catalogue of `count` items."""
    draw = random.Random(0)
    items = made_up(count, draw)
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/store.db") as store:
        for start in range(0, count, 10_000):
            store.put_items(items[start : start + 10_000])
        with Service(store, follow=False) as service:
            before, began = resident(), time.process_time()
            service.finder.index.catch_up()
            told: dict[str, Any] = {
                "items": count,
                "taken_in_seconds": round(time.process_time() - began, 2),
                "index_mb": round(service.finder.index.nbytes / 1e6),
                "resident_mb": round(resident() - before),
            }

            def title() -> str:
                return str(draw.choice(items).properties["title"])

            def words() -> str:
                return " ".join(draw.sample(str(draw.choice(items).properties["description"]).split(), 3))

            kinds: dict[str, list[dict[str, Any]]] = {
                "a letter": [{"query": title()[0]} for _ in range(100)],
                "a word": [{"query": title().split()[0]} for _ in range(200)],
                "a title as it is typed": [{"query": title()[: draw.randint(2, 20)]} for _ in range(300)],
                "three words": [{"query": words()} for _ in range(200)],
                "an id": [{"query": draw.choice(items).item_id} for _ in range(200)],
                "a list": [{"listed": "cold", "sort": "newest"} for _ in range(50)],
                "a category": [{"category": f"category {place}"} for place in range(50)],
            }
            told |= {name: asked(service, queries) for name, queries in kinds.items()}
            everything = [query for name, queries in kinds.items() if "query" in queries[0] for query in queries]
            draw.shuffle(everything)
            told["all searches"] = asked(service, everything)
            after = []
            for place in range(50):
                store.put_items([Item(items[place].item_id, {"title": f"zzyzx {place}"})])
                service._live.refresh()
                after.append(asked(service, [{"query": f"zzyzx {place}"}])["p50_ms"])
            told["the first after a put"] = {"p50_ms": float(np.median(after)), "p99_ms": float(np.percentile(after, 99))}
            return told


def mapped(count: int) -> dict[str, Any]:
    """The map of `count` vectors in 900 groups of 60 regions."""
    draw = np.random.default_rng(1)
    regions, of = draw.normal(size=(60, 64)), draw.integers(0, 60, 900)
    groups = regions[of] + 0.5 * draw.normal(size=(900, 64))
    vectors = groups[draw.integers(0, 900, count)] + 0.35 * draw.normal(size=(count, 64))
    began = time.process_time()
    _, told = laid_out((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    return {"points": count, "cpu_seconds": round(time.process_time() - began, 1), **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / f"browse_catalogue-{time.strftime('%Y-%m-%d')}.json"
    )
    options = parser.parse_args()
    told = {
        "command": "OMP_NUM_THREADS=1 python bench/browse_catalogue.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": os.getloadavg()[0]},
        "search": searched(options.items),
        "map": mapped(options.points),
    }
    print(json.dumps(told, indent=2))
    options.out.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
