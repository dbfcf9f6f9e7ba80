"""Writes training sequences of Amazon Office Products, whose own training file is not there: what is known of users before they are asked.

python scripts/office_products.py $TASTEMAKER_BENCH_DATA/amazon-office-products --to made/amazon-office-products

`train.parquet` has each user's history before the first validation target; of users who are only in the test file, before the first test target.
The histories in the files hold the last ten items at most, so longer ones are lost. `valid.parquet` is every fifth row of the validation file.
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
    valid, test = (pq.read_table(arguments.source / f"{name}.parquet") for name in ("valid", "test"))
    known: dict[str, list[int]] = {}
    for row in [*valid.to_pylist(), *test.to_pylist()]:
        known.setdefault(row["user_id"], row["history_item_ids"])
    train = pa.table({"user_id": list(known), "item_ids": list(known.values())})
    pq.write_table(train, arguments.to / "train.parquet")
    pq.write_table(valid.take(pa.array(range(0, valid.num_rows, 5))), arguments.to / "valid.parquet")


if __name__ == "__main__":
    main()
