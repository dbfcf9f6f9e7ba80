"""Text encoders as they are and fitted to what users take next, on amazon-office-products: which titles point to the next purchase?

    OMP_NUM_THREADS=1 python bench/tune_texts.py --data FOLDER [--only frozen lora …]

`valid.parquet` (histories and what followed) is what is learned from, a tenth of its users held out to choose the steps that are kept;
`test.parquet`, later, is asked once: all items but those of the history are ranked by their cosine with the weighted mean of the history's
titles. recall@10 and NDCG@10 are means over users of the mean over their questions; "new" is over questions whose answer nobody had taken in
what was learned from. p is Student's paired t over users against `frozen`. Each variant runs in a process of its own, whose peak memory
it is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from tastemaker import resolve
from tastemaker.data.interactions import Interactions
from tastemaker.data.vocabulary import FIRST
from tastemaker.evaluate.significance import mean_interval, paired_t

FAST = {"precision": "bfloat16"}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "frozen": ("transformer", FAST),
    "lora": ("transformer", {**FAST, "tune": "lora", "tuning": {"steps": 150, "learning_rate": 1e-3, "checks": 3}}),
    "full": ("transformer", {**FAST, "tune": "full", "tuning": {"steps": 40, "learning_rate": 1e-4, "checks": 2}}),
    "tfidf": ("tfidf", {"dim": 256}),
    "word2vec": ("word2vec", {}),
    "word_cnn": ("word_cnn", {}),
    "item2vec": ("item2vec", {}),
}
RECENCY, K = 0.8, 10


def learned_from(folder: Path) -> Interactions:
    """The histories and targets of `valid.parquet`, a row for each purchase."""
    rows: dict[str, list[int]] = {}
    for row in pq.read_table(folder / "valid.parquet").to_pylist():  # a user's rows go on from one another
        held = rows.setdefault(row["user_id"], list(row["history_item_ids"]))
        assert held[-1] == row["history_item_ids"][-1]
        held.append(row["item_id"])
    items = np.array([item for row in rows.values() for item in row], np.int32)
    users = np.repeat(np.arange(FIRST, FIRST + len(rows)), [len(row) for row in rows.values()]).astype(np.int32)
    count = len(items)
    ones, none = np.ones(count, np.float32), np.zeros(count, np.int8)
    return Interactions(users, items + FIRST, np.arange(count, dtype=np.int64), ones, none, none - 1)


def asked(folder: Path, values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each question of `test.parquet`: whose it is, hit, gain, and whether the answer is new."""
    table = pq.read_table(folder / "test.parquet")
    users = np.unique(table["user_id"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    targets = table["item_id"].to_numpy()
    ranks = np.zeros(len(targets), np.int64)
    for row, (history, target) in enumerate(zip(table["history_item_ids"].to_pylist(), targets.tolist(), strict=True)):
        weights = RECENCY ** np.arange(len(history) - 1, -1, -1, dtype=np.float32)
        scores = values @ (weights @ values[history])
        scores[history] = -np.inf  # what they have
        better = scores > scores[target]
        ranks[row] = len(scores) if target in history else better.sum() + (scores[:target] == scores[target]).sum()
    hit = ranks < K
    return users, hit.astype(float), np.where(hit, 1 / np.log2(ranks + 2.0), 0.0), ~known[targets]


def judged(name: str, folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Figures of a variant, and NDCG@10 of each user."""
    torch.set_num_threads(1)
    encoder_name, settings = VARIANTS[name]
    items = pq.read_table(folder / "items.parquet").sort_by("item_id")
    assert items["item_id"].to_pylist() == list(range(len(items)))
    titles, train = items.select(["title"]), learned_from(folder)
    kind = resolve.encoder_class(encoder_name)
    encoder = kind(kind.Config.parse(settings))
    wall, cpu = time.perf_counter(), time.process_time()
    encoder.fit(titles, train, lambda done, all_: print(name, done, all_, file=sys.stderr, flush=True))
    fit = time.perf_counter() - wall, time.process_time() - cpu
    found = encoder.encode(titles)
    known = np.bincount(train.item - FIRST, minlength=len(items)) > 0
    users, hit, gain, new = asked(folder, found.values, known)
    of_user = [np.bincount(users, value) / np.bincount(users) for value in (hit, gain)]
    tuned = getattr(encoder, "tuned", None)
    row: dict[str, Any] = {
        "variant": name,
        "encoder": encoder_name,
        "settings": settings,
        "recall@10": round(of_user[0].mean(), 4),
        "ndcg@10": round(of_user[1].mean(), 4),
        "interval": [round(value, 4) for value in mean_interval(of_user[1], 0.95)],
        "new_recall@10": round(hit[new].mean(), 4),
        "new_ndcg@10": round(gain[new].mean(), 4),
        "fit_wall_seconds": round(fit[0], 1),
        "fit_cpu_seconds": round(fit[1], 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if tuned:
        share = round(100 * tuned.trained / tuned.weights, 2)
        losses = [round(loss, 4) for loss in tuned.losses]
        row |= {"steps": tuned.steps, "trained_percent": share, "held_out_losses": losses, "kept": tuned.best}
    return row, of_user[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of amazon-office-products")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    default = Path(__file__).parent / "results" / f"tune_texts-{time.strftime('%Y-%m-%d')}.jsonl"
    parser.add_argument("--out", type=Path, default=default, help="lines are added to it")
    options = parser.parse_args()
    reference: np.ndarray | None = None
    for name in dict.fromkeys(["frozen", *options.only]):
        with ProcessPoolExecutor(1) as pool:
            row, values = pool.submit(judged, name, options.data).result()
        if reference is None:
            reference = values
        else:
            row["p_against_frozen"] = float(f"{paired_t(reference, values):.2g}")
        row |= {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "threads": 1, "load": round(os.getloadavg()[0], 1)}
        print(json.dumps(row), flush=True)
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
