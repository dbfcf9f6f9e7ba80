"""How long judging takes beyond the model's own scoring: exact top-k of full score rows, then all ranking metrics.

    python bench/evaluate_speed.py [--users 30000] [--items 41000] [--k 20] [--batch 256] [--threads 2]

Floor: every score must be read once, users × items × 4 bytes at the speed at which one pass (a sum) reads the same buffer. One buffer
of scores serves all batches, since making scores is the model's part; its values are the same for each batch, the bans are not.
`ties` has scores of five levels only (a popularity-like scorer), `random` has none, `rising` is sorted, which is hard for heaps.
CPU seconds are the figure to compare where other work runs on the machine (`load_average` tells).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking
from tastemaker.index.exact import search, top_k

BANNED = 30  # seen items of a user


def scores_of(kind: str, batch: int, items: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    if kind == "ties":
        return torch.randint(0, 5, (batch, items), generator=rng).float()
    if kind == "rising":
        return torch.arange(items).float().repeat(batch, 1)
    return torch.randn(batch, items, generator=rng)


def timed(work) -> tuple[float, float, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("users", 30_000), ("items", 41_000), ("k", 20), ("batch", 256), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "evaluate_speed.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    users, items, k, batch = options.users, options.items, options.k, options.batch
    rng = np.random.default_rng(0)
    seen = rng.integers(2, items, (users, BANNED))
    truth = Histories.of(list(rng.integers(2, items, (users, 8))))
    histories = Histories.of(list(seen))
    counts = rng.integers(0, 200, items)

    def lists_of(scores: torch.Tensor) -> np.ndarray:
        lists = np.zeros((users, k), np.int32)
        for first in range(0, users, batch):
            size = min(batch, users - first)
            rows = torch.arange(size).repeat_interleave(BANNED)
            codes = torch.from_numpy(seen[first : first + size].ravel())
            lists[first : first + size] = top_k(scores[:size], k, rows, codes)[1].numpy()
        return lists

    def one_pass(scores: torch.Tensor) -> None:
        for _ in range(0, users, batch):
            scores.sum()

    lines: dict[str, dict[str, float]] = {}

    def note(name: str, work) -> object:
        wall, cpu, result = timed(work)
        lines[name] = {"wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}
        print(f"{name:45s} {wall:7.2f} s wall {cpu:7.2f} s CPU")
        return result

    random = scores_of("random", batch, items)
    one_pass(random[:, :4096])  # wake the threads
    note("floor: read every score once", lambda: one_pass(random))
    note("torch.topk, no bans, ties in any order", lambda: [torch.topk(random, k) for _ in range(0, users, batch)])
    config = EvaluateConfig(ks=(k,) if k <= 10 else (10, k))
    for kind in ("ties", "rising", "random"):
        lists = note(f"top_k, {kind}", lambda kind=kind: lists_of(scores_of(kind, batch, items)))
    lengths = histories.lengths
    point = config.model_copy(update={"bootstrap": 0})
    note(
        "12 metrics, segments, beyond accuracy",
        lambda: evaluate_ranking(lists, truth, counts, lengths, point, histories=histories),
    )
    note(
        "the same with 1,000 bootstrap resamples",
        lambda: evaluate_ranking(lists, truth, counts, lengths, config, histories=histories),
    )
    vectors = torch.randn(items, 64), torch.randn(users, 64)
    bans = torch.arange(users).repeat_interleave(BANNED), torch.from_numpy(seen.ravel())
    note("search, 64 dimensions, scoring included", lambda: search(vectors[1], vectors[0], k, *bans))
    both = ("top_k, random", "the same with 1,000 bootstrap resamples")
    wall, cpu = (sum(lines[name][unit] for name in both) for unit in ("wall_seconds", "cpu_seconds"))
    gigabytes = users * items * 4 / 1e9
    print(
        f"\ntop-k + judging: {wall:.2f} s wall, {cpu:.2f} s CPU for {users:,} users × {items:,} items at k = {k} ({gigabytes:.1f} GB of scores)"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "command": f"python bench/evaluate_speed.py --threads {options.threads}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": options.threads, "torch": torch.__version__},
        "settings": {"users": users, "items": items, "k": k, "batch": batch, "banned_per_user": BANNED},
        "score_gigabytes": round(gigabytes, 2),
        "seconds": lines,
        "topk_and_judging": {"wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)},
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
