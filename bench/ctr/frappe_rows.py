"""Rows of frappe for models that rank by features: who used what, when and where, and twice as many that nobody used.

    python -m bench.ctr.frappe_rows --out DIR [--data DIR] [--seed 0] [--parts drawn|published]

Writes `train.parquet`, `validation.parquet` and `test.parquet`: `user, item, daytime, weekday, isweekend, homework, cost, weather, country,
city` as text and `label`, 1 for each of the 96,203 usage rows and 0 for two apps drawn for each; 202,027 : 57,722 : 28,860 rows, the
published 7:2:1, shuffled. How often an app was used (`count`) is no field: it would give the label away.

**The negatives.** He & Chua (2017, NFM) say "two negative apps that the user has not used in the context". Their validation and test rows,
which are at hand, are stricter, and these follow the rows:
- none of the 57,983 negatives is an app its user used in *any* context (about 500 would be, were only the context looked at);
- no user has the same app twice as a negative, in both files together (about 1,600 pairs would be equal, were draws independent);
- apps are drawn uniformly, not by popularity (χ² per degree of freedom 0.95); the user and the context are those of the usage row.

So each user's negatives are one draw without replacement from the apps that user never used. Who reads an AUC here should know: 88 % of the test
positives are pairs of user and app that train has as positives, and no negative is. Asking whether the pair is known, and else how often the app
is used, without a model, reaches a test AUC of .9732 (published rows: .9702); counting the app's uses alone .9320 (.9258).

**`--parts published`** takes the published validation and test rows as they are. Their one-hot ids are the usage file's values in order of
first appearance, so the 67,604 usage rows that are in neither are the published train positives (BARS logs the same count), and the 134,423
negatives missing from train are drawn by the same law. Only those differ from Frappe_x1: figures on its test rows, though not the same,
may be put beside published ones. `--parts drawn`, the default, draws everything.

The data may not be redistributed, so the rows are made, not shipped. Equal seeds give equal rows on every machine: `digest` says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIELDS = ("user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
PARTS = {"train": 202_027, "validation": 57_722, "test": 28_860}
NEGATIVES = 2  # of each usage row


def usage(data: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """The usage rows as codes, int64 (96,203 × 10), and the text of each field's codes, in order of first appearance (users and items: by id)."""
    table = pq.read_table(data / "frappe" / "usage.parquet").rename_columns({"user_id": "user", "item_id": "item"})
    codes, words = [], []
    for name in FIELDS:
        column = table[name].combine_chunks()
        values = np.asarray(column.to_numpy(zero_copy_only=False))
        known, first, code = np.unique(values, return_index=True, return_inverse=True)
        if name in ("user", "item"):
            first = known
        order = np.argsort(first, kind="stable")
        codes.append(np.argsort(order)[code])
        words.append(known[order].astype(str))
    return np.stack(codes, axis=1).astype(np.int64), words


def negatives(rows: np.ndarray, num_items: int, generator: np.random.Generator, given: np.ndarray | None = None) -> np.ndarray:
    """Two rows for each usage row, with its user and context and an app that user never used, none twice; sorted by user.

    `rows` are usage rows; `given` are negatives that exist already: they count for their user and context and are not drawn again.
    """
    asked = np.repeat(rows[np.argsort(rows[:, 0], kind="stable")], NEGATIVES, axis=0)
    if given is not None:
        asked = asked[~_matched(np.delete(asked, 1, axis=1), np.delete(given, 1, axis=1))]
    taken = np.zeros((int(rows[:, 0].max()) + 1, num_items), dtype=bool)
    taken[rows[:, 0], rows[:, 1]] = True
    if given is not None:
        taken[given[:, 0], given[:, 1]] = True
    drawn = asked.copy()
    users, starts, counts = np.unique(asked[:, 0], return_index=True, return_counts=True)
    for user, start, count in zip(users, starts, counts, strict=True):
        free = np.flatnonzero(~taken[user])
        if count > len(free):
            raise ValueError(f"user code {user} needs {count} negatives, {len(free)} items were never used")
        # The smallest of uniform numbers: a draw without replacement that needs no more of numpy than its uniform numbers.
        drawn[start : start + count, 1] = free[np.argsort(generator.random(len(free)), kind="stable")[:count]]
    return drawn


def _matched(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which of `rows` occur in `other`, each of `other` matching one row only: bool (rows,). All of `other` must occur."""
    _, code = np.unique(np.concatenate([rows, other]), axis=0, return_inverse=True)
    here, there = code[: len(rows)], code[len(rows) :]
    order = np.argsort(here, kind="stable")
    counts = np.bincount(there, minlength=code.max() + 1)
    if (counts > np.bincount(here, minlength=len(counts))).any():
        raise ValueError("rows to be matched do not occur often enough. hint: the two files belong to different data")
    ordered = here[order]
    occurrence = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    matched = np.zeros(len(rows), dtype=bool)
    matched[order] = occurrence < counts[ordered]
    return matched


def published(data: Path, part: str, words: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (rows × 10) and labels 0/1 of the published `part` ("validation" or "test"), in its order."""
    table = pq.read_table(data / "frappe" / f"nfm_{part}.parquet")
    lists = table["features"].combine_chunks()
    hot = lists.flatten().to_numpy().reshape(len(table), len(FIELDS)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in words])])
    codes = hot - starts[:-1]
    if (codes < 0).any() or (hot >= starts[1:]).any():
        raise ValueError(f"nfm_{part}.parquet has ids outside of its fields. hint: it belongs to another usage file")
    return codes, (table["label"].to_numpy() > 0).astype(np.int8)


def parts(data: Path, seed: int = 0, how: str = "drawn") -> dict[str, pa.Table]:
    """The three tables; see the head of this file."""
    rows, words = usage(data)
    generator = np.random.default_rng(seed)
    if how == "drawn":
        drawn = negatives(rows, len(words[1]), generator)
        codes, labels = _labelled(rows, drawn)
        order = _shuffled(len(codes), generator)
        ends = np.cumsum(list(PARTS.values()))
        made = {name: (codes[index], labels[index]) for name, index in zip(PARTS, np.split(order, ends[:-1]), strict=True)}
    else:
        made = {name: published(data, name, words) for name in ("validation", "test")}
        given, given_labels = (np.concatenate(column) for column in zip(*made.values(), strict=True))
        positives = rows[~_matched(rows, given[given_labels == 1])]
        # The law is that of all usage rows; what the given negatives use up of it is not drawn again.
        drawn = negatives(rows, len(words[1]), generator, given[given_labels == 0])
        codes, labels = _labelled(positives, drawn)
        order = _shuffled(len(codes), generator)
        made = {"train": (codes[order], labels[order]), **made}
    for name, (_, labels) in made.items():
        if len(labels) != PARTS[name]:
            raise ValueError(
                f"{name} has {len(labels)} rows, not {PARTS[name]}. hint: usage.parquet is not frappe's 96,203 rows"
            )
    return {name: _table(*made[name], words) for name in PARTS}


def _labelled(positives: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([positives, drawn]), np.repeat(np.array([1, 0], np.int8), [len(positives), len(drawn)])


def _shuffled(count: int, generator: np.random.Generator) -> np.ndarray:
    return np.argsort(generator.random(count), kind="stable")


def _table(codes: np.ndarray, labels: np.ndarray, words: list[np.ndarray]) -> pa.Table:
    columns = {name: pa.array(text).take(pa.array(code)) for name, text, code in zip(FIELDS, words, codes.T, strict=True)}
    return pa.table({**columns, "label": pa.array(labels, pa.int8())})


def digest(tables: dict[str, pa.Table]) -> str:
    """sha256 of all rows in order, as lines of tab-separated text, part by part."""
    value = hashlib.sha256()
    for name, table in tables.items():
        value.update(f"{name}\n".encode())
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            value.update(("\t".join(map(str, row)) + "\n").encode())
    return value.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("TASTEMAKER_BENCH_DATA"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", choices=("drawn", "published"), default="drawn")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no folder of data sets. hint: give --data DIR or set TASTEMAKER_BENCH_DATA")
    made = parts(arguments.data, arguments.seed, arguments.parts)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        pq.write_table(table, arguments.out / f"{name}.parquet", compression="zstd")
        print(f"{arguments.out / name}.parquet: {len(table):,} rows, {table['label'].to_numpy().sum():,} positive")
    print(f"sha256 of the rows: {digest(made)}")


if __name__ == "__main__":
    main()
