"""CPU seconds and memory of one SASRec epoch, and the distance to the floor.

    python bench/train_speed.py [--events FILE.parquet --max-length 200] [--threads 1]

Without `--events` it trains on synthetic sequences of the shape of movielens-1m: 6,040 users, 3,416 items, 653,000 targets.

Floor: the products that the mathematics needs, at the speed at which this machine multiplies matrices of these shapes. With t
targets, m items, d wide, b blocks and the mean context c of a target, in multiply-adds:

    catalogue   3 t m d                     scores, and the gradients of states and table
    blocks      3 t b (6 d² + c d)          projections and perceptron; attention over half of what the length allows

Bytes do not bound it: the table and one buffer of 256 × m scores stay in cache; states are read and written once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import torch

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.sasrec import SASRec
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import pick_dtype, train


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def sequences(events: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """User and item codes, oldest first, of the training side."""
    draw = np.random.default_rng(0)
    if events is None:
        lengths = np.clip(draw.lognormal(4.55, 0.9, 6040), 18, 2300).astype(int)
        return np.repeat(np.arange(6040), lengths) + 2, (draw.zipf(1.2, lengths.sum()) % 3416) + 2
    import pyarrow.parquet as pq

    table = pq.read_table(events)
    users, items = (np.unique(table[name].to_numpy(), return_inverse=True)[1] + 2 for name in ("user_id", "item_id"))
    ends = np.cumsum(np.bincount(users)[2:])
    keep = np.ones(len(users), bool)
    keep[ends - 1] = keep[ends - 2] = False
    return users[keep], items[keep]


def products_per_second(dtype: torch.dtype, m: int, d: int) -> float:
    """Multiply-adds a second of (256, d) × (d, m), the shape that dominates."""
    left, right = torch.randn(256, d).to(dtype), torch.randn(m, d).to(dtype)
    out = torch.empty(256, m, dtype=dtype)
    torch.mm(left, right.T, out=out)
    began, rounds = cpu_seconds(), 60
    for _ in range(rounds):
        torch.mm(left, right.T, out=out)
    return rounds * 256 * m * d / (cpu_seconds() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--max-length", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    users, items = sequences(arguments.events)
    n, d, blocks = len(users), 64, 2
    rows = Interactions(
        users.astype(np.int32),
        items.astype(np.int32),
        np.arange(n),
        np.ones(n, np.float32),
        np.zeros(n, np.int8),
        np.full(n, -1, np.int8),
    )
    torch.manual_seed(0)
    schema = FeatureSchema(int(users.max()) + 1, int(items.max()) + 1)
    model = SASRec(SASRec.Config(dim=d, blocks=blocks, max_length=arguments.max_length), schema)
    config = TrainConfig(epochs=arguments.epochs, batch_targets=4096, patience=arguments.epochs)
    marks = [(cpu_seconds(), time.perf_counter())]
    finished = (record for record in train(model, rows, config) if record.complete)
    marks += [(cpu_seconds(), time.perf_counter()) for _ in finished]
    lengths = np.minimum(np.bincount(users)[2:], arguments.max_length + 1)
    targets, m = int(lengths.sum()), schema.num_items - 2
    context = float((lengths.astype(float) ** 2).sum() / 2 / targets)
    dtype = pick_dtype("auto", torch.device("cpu"))
    catalogue = 3 * targets * m * d / products_per_second(dtype, m, d)
    inside = 3 * targets * blocks * (6 * d * d + context * d) / products_per_second(torch.float32, m, d)
    (first, began), (last, ended) = marks[-2:]
    result = {
        "targets": targets,
        "items": m,
        "max_length": arguments.max_length,
        "threads": arguments.threads,
        "dtype": str(dtype).removeprefix("torch."),
        "cpu_seconds_per_epoch": round(last - first, 2),
        "wall_seconds_per_epoch": round(ended - began, 2),
        "floor_cpu_seconds": {"catalogue": round(catalogue, 2), "blocks": round(inside, 2)},
        "times_the_floor": round((last - first) / (catalogue + inside), 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=2))
    name = f"train_speed{'-' + arguments.events.stem if arguments.events else ''}.json"
    (Path(__file__).parent / "results" / name).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
