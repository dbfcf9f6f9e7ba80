"""CPU seconds of one LightGCN epoch as the paper trains it (BPR, 2,048 pairs a step, d = 64, 3 layers), and of ours by default.

    python bench/graph_epoch.py [--events FILE.parquet] [--steps 40] [--threads 1]

Without `--events` the graph is random, of gowalla's shape: 29,858 users, 40,981 items, 810,128 pairs, degrees by a power law. All
steps of an epoch cost the same, so some are timed, after three that are not, and the epoch is projected.
`bench/peers/recbole_lightgcn.py` does the same with RecBole.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from pathlib import Path

import numpy as np
import torch

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.lightgcn import LightGCN
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train

WARM = 3


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def pairs(events: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """User and item codes from 0, sorted by user."""
    if events is None:
        draw, count = np.random.default_rng(0), 810_128
        sides = (np.floor(size * draw.power(0.55, 2 * count)).astype(np.int64) for size in (29_858, 40_981))
        cells = np.unique(np.stack(list(sides)), axis=1)
        return tuple(cells[:, np.sort(draw.permutation(cells.shape[1])[:count])])
    import pyarrow.parquet as pq

    table = pq.read_table(events)
    users, items = (np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in ("user_id", "item_id"))
    order = np.argsort(users, kind="stable")
    return users[order], items[order]


class EnoughError(Exception):
    """The steps asked for are done."""


def measured(rows: Interactions, schema: FeatureSchema, settings: dict, steps: int, **config: object) -> dict[str, object]:
    """CPU seconds of an epoch, projected from `steps` of it."""
    chosen = TrainConfig(epochs=1, device="cpu", **config)
    torch.manual_seed(0)
    model = LightGCN(LightGCN.adapt(LightGCN.Config.parse(settings), rows, chosen.loss), schema)
    marks, encode = [], model.encode_batch

    def watched(batch):
        marks.append((cpu_seconds(), len(batch.targets)))
        if len(marks) > WARM + steps:
            raise EnoughError
        return encode(batch)

    model.encode_batch = watched
    try:
        for _ in train(model, rows, chosen):
            pass
        marks.append((cpu_seconds(), 0))
    except EnoughError:
        pass
    seconds = marks[-1][0] - marks[WARM][0]
    targets = sum(count for _, count in marks[WARM:-1])
    return {
        "cpu_seconds_per_epoch": round(seconds * len(rows) / targets, 1),
        "cpu_seconds_per_step": round(seconds / (len(marks) - 1 - WARM), 3),
        "measured_steps": len(marks) - 1 - WARM,
        "steps_per_epoch": round(len(rows) * (len(marks) - 1 - WARM) / targets),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path, help="user_id, item_id")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    users, items = pairs(arguments.events)
    n = len(users)
    rows = Interactions(
        (users + FIRST).astype(np.int32),
        (items + FIRST).astype(np.int32),
        np.zeros(n, np.int64),
        np.ones(n, np.float32),
        np.zeros(n, np.int8),
        np.full(n, -1, np.int8),
    )
    schema = FeatureSchema(int(users.max()) + 1 + FIRST, int(items.max()) + 1 + FIRST)
    threads = arguments.threads
    paper = {"dim": 64, "layers": 3}
    result = {
        "pairs": n,
        "users": len(np.unique(users)),
        "items": len(np.unique(items)),
        "threads": threads,
        "paper": measured(rows, schema, paper, arguments.steps, loss="bpr", batch_targets=2048, threads=threads),
        "default": measured(rows, schema, {}, max(4, arguments.steps // 8), threads=threads),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    name = f"graph_epoch{'-' + arguments.events.stem if arguments.events else ''}.json"
    (Path(__file__).parent / "results" / name).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
