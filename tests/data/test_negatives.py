"""Given negatives: read by id, kept by user, and refused where they do not fit the data."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.data.config import DataConfig
from tastemaker.data.load import load_dataset
from tastemaker.data.negatives import with_negatives
from tastemaker.data.splits import Split, SplitConfig, split
from tastemaker.errors import ConfigError, DataError

EVENTS = {"train": "a,x\na,y\nb,y\nb,z\nc,z\nc,w\n", "test": "a,z\nb,x\n"}


def _read(tmp_path, table: dict[str, list]) -> tuple[Split, list[list[str]]]:
    for name, rows in EVENTS.items():
        (tmp_path / f"{name}.csv").write_text("user,item\n" + rows)
    pq.write_table(pa.table(table), tmp_path / "negatives.parquet")
    dataset, _ = load_dataset(DataConfig(), tmp_path, {"train": "train.csv", "test": "test.csv"})
    parts = split(dataset, SplitConfig(kind="given", train="train.csv", test="test.csv", validation_share=0.0))
    parts = with_negatives(parts, dataset, "negatives.parquet", DataConfig(), tmp_path)
    among = parts.questions("test", dataset.users.size).among
    assert among is not None
    assert parts.questions("validation", dataset.users.size).among is None
    return parts, [dataset.items.decode(among.row(row)) for row in range(len(among))]


def test_a_test_item_is_ranked_among_its_users_negatives_and_nothing_else(tmp_path):
    _, among = _read(tmp_path, {"user": ["b", "a"], "negatives": [["w"], ["w"]]})
    assert among == [["w", "z"], ["w", "x"]]


def test_rows_of_a_user_are_taken_together_an_item_counts_once_and_strangers_are_passed_over(tmp_path):
    table = {"positive": ["z", "z", "x", "x"], "user": ["a", "a", "b", "nobody"], "items": [["w", "w"], ["z"], ["w"], ["y"]]}
    _, among = _read(tmp_path, table)
    assert among == [["w", "z"], ["w", "x"]]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"user": ["a"], "negatives": [["w"]]}, "no negatives for 1 of 2 test users, such as 'b'"),
        ({"user": ["a", "b"], "negatives": [["w"], []]}, "no negatives for 1 of 2 test users, such as 'b'"),
        (
            {"user": ["a", "b"], "negatives": [["w"], ["v", "w"]]},
            "1 negatives in negatives.parquet that are not in the data, such as 'v'",
        ),
        ({"user": ["a", "b"], "negatives": ["w", "w"]}, "0 of them lists"),
        ({"user": ["a"], "good": [["w"]], "bad": [["w"]]}, "2 of them lists"),
        ({"whose": ["a", "b"], "negatives": [["w"], ["w"]]}, "user"),
    ],
)
def test_a_file_that_does_not_fit_the_data_is_refused_with_what_was_found(tmp_path, table, said):
    with pytest.raises(DataError, match=said):
        _read(tmp_path, table)


def test_negatives_belong_to_given_files_alone():
    with pytest.raises(ConfigError, match=r"split\.negatives"):
        SplitConfig.parse({"kind": "leave_last", "negatives": "negatives.parquet"}, "split")


def test_the_negatives_of_the_published_protocol_are_read_whole(bench_data):
    folder = bench_data / "ncf-movielens-1m"
    files = {side: str(folder / f"{side}.parquet") for side in ("train", "test")}
    config = DataConfig.parse({"columns": {"user": "user_id", "item": "item_id"}}, "data")
    dataset, _ = load_dataset(config, folder, files)
    parts = split(dataset, SplitConfig(kind="given", **files, carve="last"))
    parts = with_negatives(parts, dataset, "test_negatives.parquet", config, folder)
    questions = parts.questions("test", dataset.users.size)
    assert (len(questions), int(questions.truth.lengths.max())) == (6_040, 1)
    assert parts.negatives is not None
    assert set(parts.negatives.lengths[2:]) == {99}
    assert questions.among is not None
    assert (questions.among.lengths == 99).sum() == 156  # lists that hold the test item itself
    assert (questions.among.lengths == 100).sum() == 6_040 - 156
