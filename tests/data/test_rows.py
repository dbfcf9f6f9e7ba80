"""Labelled rows are read, labelled and parted as the config says, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.data.rows import RowsConfig, RowSplit, RowSplitConfig, load_rows
from tastemaker.errors import ConfigError, DataError, TastemakerError


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    table = pa.table(
        {
            "who": [f"u{n % 40}" for n in range(200)],
            "x": draw.normal(size=200),
            "click": draw.integers(0, 2, 200),
            "buy": [None if n % 10 == 0 else int(n % 3 == 0) for n in range(200)],
            "stars": draw.integers(1, 6, 200),
            "at": np.arange(1_700_000_000, 1_700_000_200)[::-1].copy(),
            "weight": draw.random(200),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    return tmp_path


def loaded(base: Path, split: dict[str, Any] | None = None, **data: Any) -> RowSplit:
    source = {} if (split or {}).get("kind") == "given" else {"rows": "rows.parquet"}
    return load_rows(RowsConfig.parse(source | data, "data"), RowSplitConfig.parse(split or {}, "split"), base)


def test_every_row_is_on_one_side_and_the_draw_depends_on_the_seed(rows: Path) -> None:
    one, other, again = (loaded(rows, {"seed": seed}, label="click") for seed in (0, 1, 0))
    at = [np.sort(np.concatenate([side.table["at"].to_numpy() for side in split.sides.values()])) for split in (one, other)]
    assert np.array_equal(at[0], np.arange(1_700_000_000, 1_700_000_200))
    assert {name: len(side) for name, side in one.sides.items()} == {"train": 160, "validation": 20, "test": 20}
    assert one.test.table.equals(again.test.table)
    assert not one.test.table.equals(other.test.table)


def test_by_time_the_newest_rows_are_asked_for(rows: Path) -> None:
    split = loaded(rows, {"kind": "by_time", "test_share": 0.2}, label="click", time="at")
    times = {name: side.table["at"].to_numpy() for name, side in split.sides.items()}
    assert times["train"].max() < times["validation"].min()
    assert times["validation"].max() < times["test"].min()
    assert len(times["test"]) == 40


def test_given_files_are_the_sides_and_validation_is_carved_where_there_is_none(rows: Path) -> None:
    table = pq.read_table(rows / "rows.parquet")
    pq.write_table(table.slice(0, 150), rows / "train.parquet")
    pq.write_table(table.slice(150), rows / "test.parquet")
    split = loaded(rows, {"kind": "given", "train": "train.parquet", "test": "test.parquet"}, label="click")
    assert {name: len(side) for name, side in split.sides.items()} == {"train": 135, "validation": 15, "test": 50}
    assert split.test.table["at"].to_pylist() == table["at"].to_pylist()[150:]


def test_several_labels_are_several_outputs_and_none_of_them_a_feature(rows: Path) -> None:
    split = loaded(rows, label=["click", "buy"], weight="weight", group="who")
    assert split.outputs == ("click", "buy")
    assert split.not_features == ("click", "buy", "weight")
    assert split.train.labels.shape == (160, 2)
    assert np.isnan(split.train.labels[:, 1]).any()
    assert split.train.weights is not None and split.train.groups is not None
    who = split.train.table["who"].to_pylist()
    assert [
        len({who[place] for place in np.flatnonzero(split.train.groups == group)}) for group in np.unique(split.train.groups)
    ] == [1] * len(set(who))


def test_values_above_a_bound_are_positive(rows: Path) -> None:
    split = loaded(rows, label="stars", positive=4)
    assert np.array_equal(split.train.labels[:, 0], (split.train.table["stars"].to_numpy() >= 4).astype(np.float32))


def test_each_label_may_say_which_values_are_positive(tmp_path: Path) -> None:
    state = ["sold", "kept", None, "sold"] * 10
    pq.write_table(pa.table({"x": np.arange(40) / 3, "stars": [1, 4, 5, 3] * 10, "state": state}), tmp_path / "rows.parquet")
    split = loaded(tmp_path, label={"stars": 4, "state": "sold"})
    known = split.train.table.to_pylist()
    expected = [
        [float(row["stars"] >= 4), float("nan") if row["state"] is None else float(row["state"] == "sold")] for row in known
    ]
    assert split.outputs == ("stars", "state")
    assert np.array_equal(split.train.labels, np.array(expected, np.float32), equal_nan=True)
    with pytest.raises(DataError, match="such as 'sold', 'kept'"):
        loaded(tmp_path, label="state", positive="lost")
    with pytest.raises(DataError, match=r"data\.positive = 'sold'"):
        loaded(tmp_path, label="state")


def test_classes_are_places_among_the_sorted_values(rows: Path) -> None:
    split = loaded(rows, label="stars", classes=True)
    assert split.outputs == ("1", "2", "3", "4", "5")
    assert np.array_equal(split.test.labels[:, 0] + 1, split.test.table["stars"].to_numpy())


@pytest.mark.parametrize("values", [[-1, 1] * 20, [True, False] * 20, [0.0, 1.0] * 20, ["0", "1"] * 20], ids=str)
def test_labels_of_two_values_are_0_and_1(tmp_path: Path, values: list[Any]) -> None:
    pq.write_table(pa.table({"x": np.arange(40) / 3, "label": values}), tmp_path / "rows.parquet")
    split = loaded(tmp_path)
    assert set(np.concatenate([side.labels[:, 0] for side in split.sides.values()]).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("split", "data", "said"),
    [
        ({}, {"label": "clik"}, "label column 'clik'"),
        ({}, {"label": "stars"}, "data.positive"),
        ({}, {"label": "click", "group": "nobody"}, "group column"),
        ({"kind": "by_time"}, {"label": "click"}, "data.time"),
        ({"kind": "given", "train": "a.parquet"}, {"label": "click"}, "train and test"),
        ({"test_share": 0.7, "validation_share": 0.3}, {"label": "click"}, "leave rows"),
        ({}, {"label": ["click", "click"]}, "different columns"),
        ({}, {"label": "stars", "classes": True, "positive": 3}, "without positive"),
        ({"test_share": 0.001}, {"label": "click"}, "test side has no rows"),
    ],
)
def test_what_does_not_fit_is_named(rows: Path, split: dict[str, Any], data: dict[str, Any], said: str) -> None:
    with pytest.raises(TastemakerError, match=said) as caught:
        loaded(rows, split, **data)
    assert isinstance(caught.value, ConfigError | DataError)
