"""Write the events that every peer and our own model train on: `user_id, item_id, timestamp`, sorted.

    python bench/peers/prepare.py movielens-1m  --data DIR --out ml1m.parquet
    python bench/peers/prepare.py amazon-beauty --data DIR --out beauty.parquet

`timestamp` is the event's position in its user's history (0, 1, ...): ties in the source are settled here once, by the order of
the rows, so that no library can settle them another way. The file holds whole histories; `measure.load` cuts off the last two.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MIN_RATINGS = 5  # of an item of movielens-1m, counted over all ratings


def movielens_1m(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """User and item ids of movielens-1m in time order a user, items with fewer than five ratings dropped."""
    table = pq.read_table(data / "movielens-1m" / "interactions.parquet", columns=["user_id", "item_id", "timestamp"])
    users, items, times = (table[name].to_numpy().astype(np.int64) for name in table.column_names)
    frequent = np.bincount(items)[items] >= MIN_RATINGS
    users, items, times = users[frequent], items[frequent], times[frequent]
    order = np.lexsort((times, users))  # stable: ties keep the order of the rows
    return users[order], items[order]


def amazon_beauty(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """User and item ids of amazon-beauty, whose rows are whole sequences, oldest event first."""
    table = pq.read_table(data / "amazon-beauty" / "sequences.parquet").sort_by("user_id")
    sequences = table["item_ids"].combine_chunks()
    return np.repeat(table["user_id"].to_numpy(), np.diff(sequences.offsets.to_numpy())), sequences.flatten().to_numpy()


SOURCES = {"movielens-1m": movielens_1m, "amazon-beauty": amazon_beauty}


def positions(users: np.ndarray) -> np.ndarray:
    """Each event's position within its user's run of equal values: [7, 7, 7, 9, 9] -> [0, 1, 2, 0, 1]."""
    starts = np.flatnonzero(np.diff(users, prepend=users[0] - 1))
    return np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--data", type=Path, default=os.environ.get("TASTEMAKER_BENCH_DATA"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--users", type=int, help="keep the first so many users only, to try things out")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no folder of data sets. hint: give --data DIR or set TASTEMAKER_BENCH_DATA")
    users, items = SOURCES[arguments.source](arguments.data)
    if arguments.users is not None:
        kept = users <= np.unique(users)[: arguments.users][-1]
        users, items = users[kept], items[kept]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": positions(users)}), arguments.out)
    print(f"{arguments.out}: {len(users):,} events, {len(np.unique(users)):,} users, {len(np.unique(items)):,} items")


if __name__ == "__main__":
    main()
