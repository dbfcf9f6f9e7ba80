"""Loading: the shipped sample, given files, catalogues, import and the account of it all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.data.catalogue import item_name_column
from tastemaker.data.config import DataConfig
from tastemaker.data.load import import_to, load, load_dataset, sample_path
from tastemaker.data.splits import TEST, TEST_FOLD_IN, TRAIN, VALIDATION
from tastemaker.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def sample():
    return load_dataset(DataConfig(events=str(sample_path()), duplicates="keep"))


def test_the_sample_holds_the_shop(sample):
    dataset, report = sample
    assert (len(dataset.users), len(dataset.items), len(dataset.interactions)) == (4_334, 3_659, 386_326)
    assert (report.rows, report.accepted, report.rejects) == (386_326, 386_326, [])
    assert dataset.catalogue.column_names == ["description", "price"]
    assert item_name_column(dataset.catalogue) == "description"
    assert dataset.profiles.column_names == ["country"]
    assert (
        dataset.catalogue["description"][dataset.items.encode(["85123A"])[0] - 2].as_py()
        == "WHITE HANGING HEART T-LIGHT HOLDER"
    )
    assert sum(path.stat().st_size for path in sample_path().iterdir()) < 2_500_000


def test_the_sample_keeps_its_credit_line():
    assert "doi:10.24432/C5BW33" in (sample_path() / "LICENSE.md").read_text()


def test_interactions_are_sorted_and_vocabularies_in_id_order(sample):
    dataset, _ = sample
    rows = dataset.interactions
    order = np.lexsort([rows.time, rows.user])
    assert (order == np.arange(len(rows))).all()
    assert dataset.items.ids.to_pylist() == sorted(dataset.items.ids.to_pylist(), key=str.encode)
    assert dataset.users.ids.to_pylist() == sorted(dataset.users.ids.to_pylist())
    assert rows.user.dtype == np.int32
    assert rows.value.dtype == np.float32
    assert rows.kind.dtype == np.int8
    assert (rows.side == -1).all()


def test_the_cleaning_script_makes_the_shipped_sample(bench_data, tmp_path):
    script = Path(__file__).parents[2] / "scripts" / "clean_online_retail.py"
    source = bench_data / "online-retail" / "transactions.parquet"
    done = subprocess.run([sys.executable, script, source, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'sales': 396337, 'events': 386326, 'items': 3659, 'users': 4334}"
    for name in ("events", "items", "users"):
        assert pq.read_table(tmp_path / f"{name}.parquet").equals(pq.read_table(sample_path() / f"{name}.parquet"))


def test_movielens_1m_has_its_known_counts(bench_data):
    config = DataConfig(events="movielens-1m/interactions.parquet", items="movielens-1m/items.parquet", min_per_item=5)
    dataset, report = load_dataset(config, bench_data)
    assert (len(dataset.users), len(dataset.items), len(dataset.interactions)) == (6_040, 3_416, 999_611)
    assert report.rows == report.accepted == 1_000_209
    assert item_name_column(dataset.catalogue) == "title"
    assert report.attributes["items"]["without_events"] == 3_883 - 3_416


def test_given_files_label_their_rows(tmp_path):
    for name, rows in {"train": "a,1\nb,2\na,1\n", "valid": "a,3\nb,1\n", "test": "a,1\nb,3\n"}.items():
        (tmp_path / f"{name}.csv").write_text("user,item\n" + rows)
    files = {"test": "test.csv", "train": "train.csv", "validation": "valid.csv"}
    dataset, report = load_dataset(DataConfig(), tmp_path, files)
    rows = dataset.interactions
    assert dataset.items.decode(rows.item) == [1, 1, 3, 1, 2, 1, 3]
    assert rows.side.tolist() == [TRAIN, TRAIN, VALIDATION, TEST, TRAIN, VALIDATION, TEST]
    assert report.rows == 7
    with pytest.raises(ConfigError, match="one of the two"):
        load_dataset(DataConfig(events="train.csv"), tmp_path, files)
    with pytest.raises(ConfigError, match="train"):
        load_dataset(DataConfig(), tmp_path, {"test": "test.csv"})


def test_given_files_may_each_stand_for_a_kind_of_behaviour(tmp_path):
    for name, rows in {"buys": "a,1\nb,2\n", "carts": "a,3\n", "asked": "a,2\n"}.items():
        (tmp_path / f"{name}.csv").write_text("user,item\n" + rows)
    files = {"train": {"buy": "buys.csv", "cart": "carts.csv"}, "test": {"buy": "asked.csv"}}
    rows = load_dataset(DataConfig(kinds={"buy": 1.0, "cart": 0.3}), tmp_path, files)[0].interactions
    assert [rows.kinds[kind] for kind in rows.kind] == ["buy", "cart", "buy", "buy"]
    assert rows.side.tolist() == [TRAIN, TRAIN, TEST, TRAIN]
    assert rows.weight.tolist() == pytest.approx([1, 0.3, 1, 1])
    alone = load_dataset(DataConfig(kinds={"buy": 1.0}), tmp_path, files)[0].interactions
    assert len(alone) == 3


def test_given_prefixes_are_fold_in_rows(tmp_path):
    pq.write_table(pa.table({"item_ids": [[1, 2], [2, 3]]}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"history": [[3, 1], [2]], "item_id": [2, 1]}), tmp_path / "test.parquet")
    dataset, _ = load_dataset(DataConfig(), tmp_path, {"train": "train.parquet", "test": "test.parquet"})
    rows = dataset.interactions
    assert dataset.users.decode(rows.user) == [0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert dataset.items.decode(rows.item) == [1, 2, 2, 3, 3, 1, 2, 2, 1]
    assert rows.side.tolist() == [TRAIN] * 4 + [TEST_FOLD_IN, TEST_FOLD_IN, TEST, TEST_FOLD_IN, TEST]


def test_the_catalogue_is_aligned_with_the_vocabulary(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title,price,code\n3,three,1.5,007\n1,one,2,010\n1,uno,9,011\n9,nine,3,\n")
    events = {"user": ["a", "b", "b"], "item": [1, 2, 3]}
    pq.write_table(pa.table(events), tmp_path / "e.parquet")
    dataset, report = load_dataset(DataConfig(events="e.parquet", items="items.csv"), tmp_path)
    assert dataset.catalogue.to_pydict() == {
        "title": ["one", None, "three"],
        "price": [2.0, None, 1.5],
        "code": ["010", None, "007"],
    }
    counts = {"rows": 4, "matched": 2, "without_events": 1, "missing": 1, "repeated_or_without_id": 1}
    assert report.attributes["items"] == counts
    assert item_name_column(dataset.catalogue) == "title"
    assert item_name_column(pa.table({"price": [1]})) is None
    text = load(events, pa.table({"sku": ["1", "2"], "name": ["x", "y"]}))
    assert text.catalogue["name"].to_pylist() == ["x", "y", None]
    with pytest.raises(DataError, match="no item of the events"):
        load(events, pa.table({"item_id": ["p", "q"], "name": ["x", "y"]}))
    with pytest.raises(DataError, match="item_id"):
        load(events, pa.table({"what": ["p", "q"]}))


def test_an_imported_folder_gives_the_same_dataset(tmp_path):
    text = "user,item,time,rating,event\nb,2,200,3,buy\na,1,100,1,view\na,2,100,2,view\na,2,100,2,view\na,1,x,1,view\nb,1,300,4,view\n"
    (tmp_path / "e.csv").write_text(text)
    (tmp_path / "items.csv").write_text("item,title\n1,one\n2,two\n")
    config = DataConfig(events="e.csv", items="items.csv")
    report = import_to(tmp_path / "out", config, tmp_path)
    assert (report.rows, report.accepted) == (6, 5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["events.parquet", "import.json", "items.parquet"]
    direct, _ = load_dataset(config, tmp_path)
    again, _ = load_dataset(DataConfig(events="out"), tmp_path)
    assert again.fingerprint == direct.fingerprint
    assert again.catalogue.equals(direct.catalogue)
    import_to(tmp_path / "more", DataConfig(events="out"), tmp_path)
    assert load_dataset(DataConfig(events="more"), tmp_path)[0].fingerprint == direct.fingerprint


def test_a_dataset_survives_the_disk(sample, tmp_path):
    dataset, _ = sample
    assert type(dataset).load(dataset.save(tmp_path / "d")).fingerprint == dataset.fingerprint


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match="min_per_item"):
        load({"user": [1, 2], "item": [1, 2]}, min_per_items=3)
