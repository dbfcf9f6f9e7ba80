"""Writes training sequences of Amazon Office Products, whose own training file is not there: what is known of users before they are asked.

python scripts/office_products.py $TASTEMAKER_BENCH_DATA/amazon-office-products --to made/amazon-office-products

`choose.parquet` is for choosing settings: each user's history before the first validation target (of users who are only in the test file,
before the first test target). `train.parquet` is for the test: each user's history before the first test target, and for the others all of theirs.
The histories in the files hold the last ten items at most, so longer ones are lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with valid.parquet and test.parquet")
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    asked = {name: pq.read_table(arguments.source / f"{name}.parquet").to_pylist() for name in ("valid", "test")}
    first: dict[str, dict[str, list[int]]] = {"valid": {}, "test": {}}
    whole: dict[str, list[int]] = {}
    for name, rows in asked.items():
        for row in rows:
            first[name].setdefault(row["user_id"], row["history_item_ids"])
            if name == "valid":
                whole[row["user_id"]] = [*row["history_item_ids"], row["item_id"]]
    for name, sequences in {"choose": first["test"] | first["valid"], "train": whole | first["test"]}.items():
        table = pa.table({"user_id": list(sequences), "item_ids": list(sequences.values())})
        pq.write_table(table, arguments.to / f"{name}.parquet")


if __name__ == "__main__":
    main()
