"""What the scripts of the ranking peers share: arguments, the rows, the published settings, the clock, AUC and log loss, the one line printed.

Each peer runs under its own interpreter, so this file needs no more than numpy and pyarrow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import measure

FIELDS = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
PARTS = ("train", "validation", "test")

# The settings with which BARS (reczoo/BARS, ranking/ctr/NAME/NAME_frappe_x1) has its best figures on Frappe_x1; `epochs` 100, `patience` 2, Adam at
# 0.001, d = 10 and the learning rate divided by ten after every epoch without a better validation AUC are common to all (NFM: 200 epochs). Its batch
# is 4,096. AutoInt here is its AutoInt+. `regularizer`: λ of λ / 2 · ‖embeddings‖² over whole tables, added to the mean loss of each step's rows.
_MLP = {"hidden": [400, 400, 400], "dropout": 0.2, "batch_norm": True, "regularizer": 0.05}
BARS: dict[str, dict[str, Any]] = {
    "LR": {"regularizer": 1e-5},
    "FM": {"regularizer": 5e-6},
    "AFM": {"regularizer": 1e-5, "attention_dim": 128, "attention_dropout": [0.1, 0.1]},
    "NFM": {"hidden": [400, 400, 400], "dropout": 0.4, "batch_norm": False, "regularizer": 1e-4},
    "FFM": {"regularizer": 1e-6},
    "DNN": _MLP,
    "WideDeep": _MLP | {"dropout": 0.6, "regularizer": 0.1},
    "DeepFM": _MLP,
    "DCN": _MLP | {"cross_layers": 3},
    "DCNv2": _MLP | {"cross_layers": 4, "dropout": 0.4},
    "xDeepFM": _MLP | {"cin": [64], "regularizer": 0.1},
    "AutoInt": _MLP | {"attention_layers": 5, "heads": 4, "attention_dim": 128, "dropout": 0.1, "regularizer": 0.1},
    "FinalMLP": {
        "hidden": [400],
        "hidden2": [100],
        "heads": 5,
        "gate": [400],
        "dropout": 0.4,
        "batch_norm": True,
        "regularizer": 0.05,
    },
}


def parse(
    description: str, models: tuple[str, ...], extend: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Read the arguments, then start this very process anew with the threads, cores and allocator they ask for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="folder that bench.ctr.frappe_rows wrote")
    parser.add_argument("--model", choices=models, required=True)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--patience", type=int, default=2, help="epochs without a better validation AUC before training ends")
    parser.add_argument("--steps", type=int, help="speed alone: stop after so many measured steps, judge nothing")
    parser.add_argument("--warmup-steps", type=int, default=5, help="first steps, which no figure counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--malloc", choices=measure.MALLOC, default="tuned")
    parser.add_argument("--d", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--dropout", type=float, help="instead of the published one")
    parser.add_argument("--regularizer", type=float, help="instead of the published one")
    parser.add_argument("--seed", type=int, default=2021)
    if extend:
        extend(parser)
    arguments = parser.parse_args()
    missing = [name for name in PARTS if not (arguments.rows / f"{name}.parquet").is_file()]
    if missing:
        parser.error(
            f"no file {arguments.rows / missing[0]}.parquet. hint: python -m bench.ctr.frappe_rows --out {arguments.rows}"
        )
    if min(arguments.epochs, arguments.threads, arguments.batch) < 1:
        parser.error("--epochs, --threads and --batch start at 1")
    settings = dict(BARS[arguments.model])
    for name in ("dropout", "regularizer"):
        if getattr(arguments, name) is not None:
            if name not in settings:
                parser.error(f"{arguments.model} has no {name}")
            settings[name] = getattr(arguments, name)
    arguments.settings = settings
    measure.enter_environment(arguments.threads, measure.MALLOC[arguments.malloc])
    return arguments


@dataclass(frozen=True)
class Rows:
    """Codes (rows × 10, int64) and labels (float64) of each part.

    Codes of a field count from 1 over the train rows' values, sorted; 0 is left to padding, what train does not know is the last code.
    """

    codes: dict[str, Any]
    labels: dict[str, Any]
    sizes: tuple[int, ...]


def load(folder: Path) -> Rows:
    """The rows of a folder that bench.ctr.frappe_rows wrote."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = {name: pq.read_table(folder / f"{name}.parquet") for name in PARTS}
    codes: dict[str, list[Any]] = {name: [] for name in PARTS}
    sizes = []
    for name in FIELDS:
        known = pc.unique(tables["train"][name])
        known = known.take(pc.sort_indices(known))
        sizes.append(len(known) + 2)
        for part, table in tables.items():
            place = pc.fill_null(pc.index_in(table[name], known), len(known))
            codes[part].append(place.to_numpy().astype(np.int64) + 1)
    labels = {part: table["label"].to_numpy().astype(np.float64) for part, table in tables.items()}
    return Rows({part: np.stack(columns, axis=1) for part, columns in codes.items()}, labels, tuple(sizes))


def auc(labels: Any, scores: Any) -> float:
    """Share of pairs of a positive and a negative row that the scores put in order, ties half."""
    import numpy as np

    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = labels > 0
    num_positive = int(positive.sum())
    num_negative = len(labels) - num_positive
    return float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def logloss(labels: Any, probabilities: Any) -> float:
    """Mean over rows of −log of the probability given to what happened, held within 1e-7 … 1 − 1e-7 (about the last float32 below 1)."""
    import numpy as np

    p = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    return float(-np.where(labels > 0, np.log(p), np.log1p(-p)).mean())


class EnoughError(Exception):
    """The steps asked for are done."""


@dataclass
class Clock:
    """CPU seconds of the training steps (forward, loss, backward, update) and of what lies between two steps of an epoch: the batches' making.

    The first `warmup` steps count nowhere. After `limit` counted steps `end` raises `EnoughError`.
    """

    warmup: int = 5
    limit: int | None = None
    steps: int = 0
    samples: int = 0
    inside: float = 0.0
    between: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    _begun: float = 0.0
    _ended: float | None = None
    _now: Callable[[], float] = measure.cpu_seconds

    def begin(self) -> None:
        self._begun = self._now()
        if self._ended is not None and self.steps >= self.warmup:
            self.between += self._begun - self._ended

    def end(self, samples: int) -> None:
        self._ended = self._now()
        if self.steps >= self.warmup:
            self.inside += self._ended - self._begun
            self.samples += samples
        self.steps += 1
        if self.limit is not None and self.steps >= self.warmup + self.limit:
            raise EnoughError

    def pause(self) -> None:
        """What follows, up to the next step, is no part of training: judging, the start of an epoch."""
        self._ended = None

    def record(self, validation_auc: float, lr: float) -> None:
        point = {
            "epoch": len(self.curve) + 1,
            "validation_auc": round(validation_auc, 6),
            "lr": lr,
            "train_cpu_s": round(self.inside, 1),
        }
        self.curve.append(point)
        print(json.dumps(point), file=sys.stderr, flush=True)

    def result(self) -> dict[str, Any]:
        if not self.samples:
            raise SystemExit(f"{self.steps} steps are too few to measure. hint: lower --warmup-steps")
        return {
            "samples_per_cpu_s": round(self.samples / self.inside),
            "samples_per_cpu_s_with_batches": round(self.samples / (self.inside + self.between)),
            "measured_steps": self.steps - self.warmup,
            "train_cpu_s": round(self.inside + self.between, 1),
        }


def report(
    peer: str, package: str, arguments: argparse.Namespace, rows: Rows, clock: Clock, started: float, **more: Any
) -> None:
    """Print the one line. `started` is `time.perf_counter()` when training began."""
    line = {
        "peer": peer,
        "version": version(package),
        "torch": version("torch"),
        "rows": arguments.rows.resolve().name,
        "model": arguments.model,
        "settings": {name: getattr(arguments, name) for name in ("batch", "d", "lr", "seed", "patience")} | arguments.settings,
        "threads": arguments.threads,
        "malloc": arguments.malloc,
        **clock.result(),
    }
    if clock.curve:
        best = max(clock.curve, key=lambda point: point["validation_auc"])
        line |= {"epochs": len(clock.curve), "best_epoch": best["epoch"], "validation_auc": best["validation_auc"]}
    line |= more
    line |= {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_average": round(os.getloadavg()[0], 1),
        "train_rows": len(rows.labels["train"]),
    }
    if clock.curve:
        line["curve"] = clock.curve
    print(json.dumps(line), flush=True)
