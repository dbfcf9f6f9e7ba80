"""Does bfloat16 move the metrics? SASRec on movielens-100k, leave-one-out, with both precisions over the same seeds.

    python bench/precision.py [--seeds 5] [--epochs 20]

The question is answered by pairs: each user's NDCG@10, mean over seeds, in bfloat16 less in float32, with a bootstrap interval over
users, beside the standard deviation over seeds, which is what a reader must expect to differ anyway. Test is not looked at: the
questions are those of validation, which nothing here is chosen by.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

import tastemaker as tm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    folder = Path(os.environ.get("TASTEMAKER_BENCH_DATA", "../shared/data")) / "movielens-100k"
    data = tm.load(
        str(folder / "interactions.parquet"), columns={"user": "user_id", "item": "item_id", "time": "timestamp", "value": ""}
    )
    parts = tm.split(data, "leave_last")
    per_user: dict[str, list[np.ndarray]] = {"float32": [], "bfloat16": []}
    for seed in range(arguments.seeds):
        for precision, rows in per_user.items():
            model = tm.train_model(
                "sasrec", parts, epochs=arguments.epochs, patience=arguments.epochs, precision=precision, seed=seed, threads=1
            )
            report = tm.evaluate_model(model, parts, side="validation")
            rows.append(report.per_user["ndcg@10"])
            print(f"seed {seed} {precision:8} ndcg@10 {rows[-1].mean():.4f}", flush=True)
    means = {name: np.array([row.mean() for row in rows]) for name, rows in per_user.items()}
    gap = np.mean(per_user["bfloat16"], axis=0) - np.mean(per_user["float32"], axis=0)
    draws = np.random.default_rng(0).integers(len(gap), size=(2000, len(gap)))
    low, high = np.quantile(gap[draws].mean(axis=1), (0.025, 0.975))
    result = {
        "data": "movielens-100k, leave-one-out, validation",
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
        "ndcg@10": {
            name: {"mean": round(float(m.mean()), 5), "sd": round(float(m.std(ddof=1)), 5)} for name, m in means.items()
        },
        "bfloat16_less_float32": {
            "mean": round(float(gap.mean()), 5),
            "interval_95": [round(float(low), 5), round(float(high), 5)],
        },
    }
    print(json.dumps(result, indent=2))
    (Path(__file__).parent / "results" / "precision.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
