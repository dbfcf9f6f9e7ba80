"""`sparse_ease` on a catalogue of 300,000 items, where a dense items × items matrix would need 360 GB: seconds and peak memory. Bar: 8 GB.

The world: 200,000 users with log-normal activity, each at home in one of 300 parts of the catalogue, Zipf-like popularity in each.
"""

from __future__ import annotations

import json
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.sparse_ease import SparseEase

EVENTS, USERS, ITEMS, PARTS, NEIGHBOURS = 3_000_000, 200_000, 300_000, 300, 50
RESULTS = Path(__file__).parent / "results"


def world(seed: int = 0) -> Interactions:
    """The synthetic events, an item at most once a user."""
    generator = np.random.default_rng(seed)
    activity = np.cumsum(generator.lognormal(0, 1, USERS))
    user = np.searchsorted(activity, generator.random(EVENTS) * activity[-1])
    size = ITEMS // PARTS
    home = np.where(generator.random(EVENTS) < 0.8, user % PARTS, generator.integers(0, PARTS, EVENTS))
    item = home + PARTS * np.minimum((size ** generator.random(EVENTS)).astype(np.int64) - 1, size - 1)
    pairs = np.unique(user * np.int64(ITEMS) + item)
    count = len(pairs)
    return Interactions(
        (pairs // ITEMS + FIRST).astype(np.int32),
        (pairs % ITEMS + FIRST).astype(np.int32),
        np.zeros(count, np.int64),
        np.ones(count, np.float32),
        np.zeros(count, np.int8),
        np.full(count, -1, np.int8),
    )


def main() -> None:
    rows = world()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    model = SparseEase(SparseEase.Config(neighbours=NEIGHBOURS), FeatureSchema(USERS + FIRST, ITEMS + FIRST))
    wall, cpu = time.perf_counter(), time.process_time()
    model.solve(rows)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "items": ITEMS,
        "users": USERS,
        "events": len(rows),
        "neighbours": NEIGHBOURS,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
        "peak_gb_before": round(before, 2),
        "weights_mb": round(sum(held.numel() * held.element_size() for held in model.state_dict().values()) / 1e6, 1),
    }
    print(json.dumps(result, indent=2))
    (RESULTS / f"sparse_ease-{datetime.now(UTC):%Y-%m-%d}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
