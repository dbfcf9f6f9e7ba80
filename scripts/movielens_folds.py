"""Writes the official folds of MovieLens 100K as train and test files that a config with `split.kind = "given"` can name.

python scripts/movielens_folds.py $TASTEMAKER_BENCH_DATA/movielens-100k --to made/movielens-100k
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with interactions.parquet and official_splits.parquet")
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    rows = pq.read_table(arguments.source / "interactions.parquet")
    folds = pq.read_table(arguments.source / "official_splits.parquet", columns=["user_id", "item_id", "u_fold"])
    rows = rows.join(folds, ["user_id", "item_id"]).sort_by(
        [("user_id", "ascending"), ("timestamp", "ascending"), ("item_id", "ascending")]
    )
    for fold in range(1, 6):
        held_out = pc.equal(rows["u_fold"], fold)
        pq.write_table(rows.filter(held_out).drop(["u_fold"]), arguments.to / f"u{fold}_test.parquet")
        pq.write_table(rows.filter(pc.invert(held_out)).drop(["u_fold"]), arguments.to / f"u{fold}_train.parquet")


if __name__ == "__main__":
    main()
