"""Sources of every kind, and what becomes of bad ones: a typed error or a counted rejection, never a lost row."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.data.config import DataConfig
from tastemaker.data.io import Sources, as_arrow
from tastemaker.data.load import load, load_dataset
from tastemaker.errors import ConfigError, DataError

GOOD = "user_id,item_id,timestamp\nanna,1,100\nanna,2,200\nbob,1,150\n"
EXPECTED = [("anna", 1, 100), ("anna", 2, 200), ("bob", 1, 150)]


def rows_of(dataset):
    data = dataset.interactions
    return list(
        zip(dataset.users.decode(data.user), dataset.items.decode(data.item), (data.time // 1_000_000).tolist(), strict=True)
    )


def read(path: Path, content: str | bytes | None = None, **settings):
    """Loads one file; every row of it must be accepted or in the rejects."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    dataset, report = load_dataset(DataConfig(events=path.name, **settings), path.parent)
    assert report.accepted + sum(reject.rows for reject in report.rejects) == report.rows
    assert json.loads(json.dumps(report.to_dict()))["rows"] == report.rows
    return dataset, report


def reasons(report):
    return {reject.reason: reject.rows for reject in report.rejects}


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "a.csv": GOOD,
        "b.csv": GOOD.replace("\n", "\r\n"),
        "c.csv": "\ufeff" + GOOD,
        "d.tsv": GOOD.replace(",", "\t"),
        "e.csv": GOOD.replace(",", ";"),
        "f.txt": GOOD.replace(",", "|"),
        "g.dat": GOOD.replace(",", "::"),
        "h.csv": GOOD.removesuffix("\n"),
        "i.csv": GOOD.replace(",", " , "),
        "j.csv": GOOD.encode("utf-16"),
        "k.csv": GOOD.replace("bob", '"bob"') + "\n\n",
        "l.csv.gz": gzip.compress(GOOD.encode(), mtime=0),
        "m.csv": GOOD.replace("100", "100.0").replace("150", "1.5e2"),
        "n.csv": GOOD.replace("user_id", "User ID").replace("item_id", "itemId"),
    }.items(),
)
def test_text_files_of_every_dress_read_alike(tmp_path, name, content):
    dataset, report = read(tmp_path / name, content)
    assert rows_of(dataset) == EXPECTED
    assert report.rejects == []


def test_json_lines_parquet_and_tables_read_alike(tmp_path):
    rows = [{"user_id": user, "item_id": item, "timestamp": time} for user, item, time in EXPECTED]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "e.parquet")
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    with duckdb.connect(tmp_path / "e.duckdb") as base:
        base.execute("create schema shop")
        base.execute("create table shop.events(user_id text, item_id int, timestamp bigint)")
        base.executemany("insert into shop.events values (?, ?, ?)", EXPECTED)
    base = sqlite3.connect(tmp_path / "e.db")
    base.execute("create table events(user_id, item_id, timestamp)")
    base.executemany("insert into events values (?, ?, ?)", EXPECTED)
    base.commit()
    base.close()
    for source in ("e.parquet", "e.jsonl", "duckdb:///e.duckdb#shop.events", "sqlite:///e.db#events"):
        dataset, report = load_dataset(DataConfig(events=source), tmp_path)
        assert rows_of(dataset) == EXPECTED, source
        assert report.rows == report.accepted == 3
    for frame in (table, table.to_pandas(), table.to_pydict(), table.to_reader()):
        assert rows_of(load(frame)) == EXPECTED


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///none.db#events",
        "duckdb:///none.db#events",
        "sqlite:///e.db#eventz",
        "duckdb:///e.duckdb#nope",
        "nosuch://x#y",
    ],
)
def test_a_database_that_is_not_there_is_a_data_error(tmp_path, url):
    base = sqlite3.connect(tmp_path / "e.db")
    base.execute("create table events(user_id, item_id)")
    base.close()
    duckdb.connect(tmp_path / "e.duckdb").close()
    with pytest.raises(DataError):
        load_dataset(DataConfig(events=url), tmp_path)


@pytest.mark.parametrize(
    ("unit", "stamp"),
    {
        "epoch seconds": [978_300_760, 978_302_109],
        "epoch milliseconds": [978_300_760_000, 978_302_109_000],
        "epoch microseconds": [978_300_760_000_000, 978_302_109_000_000],
        "epoch nanoseconds": [978_300_760_000_000_000, 978_302_109_000_000_000],
        "ISO text": ["2000-12-31T22:12:40Z", "2000-12-31 23:35:09+01:00"],
    }.items(),
)
def test_units_of_time_are_detected_and_stated(tmp_path, unit, stamp):
    text = "user,item,time\n" + "".join(f"u{n},i{n},{time}\n" for n, time in enumerate(stamp))
    dataset, report = read(tmp_path / "e.csv", text)
    assert dataset.interactions.time.tolist() == [978_300_760_000_000, 978_302_109_000_000]
    assert any(unit in note for note in report.notes)
    if unit != "ISO text":
        assert load({"user": ["a", "b"], "item": [1, 2], "time": stamp}).interactions.time.tolist()[0] == 978_300_760_000_000


def test_iso_times_agree_with_numpy_over_the_whole_calendar():
    generator = np.random.default_rng(0)
    seconds = generator.integers(0, 253_402_300_799, 2_000)
    text = [str(np.datetime64(int(second), "s")) for second in seconds]
    dataset = load({"user": np.arange(2_000), "item": np.arange(2_000), "time": text})
    assert (dataset.interactions.time == seconds * 1_000_000).all()


def test_timestamps_of_frames_are_taken_as_they_are():
    frame = pd.DataFrame(
        {"user": ["a", "b"], "item": [1, 2], "time": pd.to_datetime(["2020-01-01T00:00:00.25", "2020-02-01T00:00:00.00"])}
    )
    assert load(frame).interactions.time.tolist() == [1_577_836_800_250_000, 1_580_515_200_000_000]
    zoned = frame.assign(time=frame.time.dt.tz_localize("Europe/Paris"))
    assert load(zoned).interactions.time.tolist() == [1_577_833_200_250_000, 1_580_511_600_000_000]
    dates = pa.table({"user": ["a", "b"], "item": [1, 2], "time": pa.array([1, 2], pa.date32())})
    assert load(dates).interactions.time.tolist() == [86_400_000_000, 172_800_000_000]


def test_every_unreadable_row_is_rejected_with_its_reason(tmp_path):
    rows = [
        ",1,100,3",
        "anna,,100,3",
        "anna,1,,3",
        "anna,1,yesterday,3",
        "anna,1,2021-02-30,3",
        "anna,1,nan,3",
        "anna,1,-5,3",
        "anna,1,99999999999999999999,3",
        "anna,1,100,",
        "anna,1,100,good",
        "anna,1,100,NaN",
        "anna,1,100,inf",
        "anna,1,100,1e300",
        "anna,1,100,-1",
        "anna,1",
        "anna,1,100,3,extra",
    ]
    text = "user,item,time,rating\nanna,1,100,3\nbob,2,100,4\n" + "\n".join(rows) + "\n"
    dataset, report = read(tmp_path / "e.csv", text)
    assert report.rows == len(rows) + 2
    assert report.accepted == 2
    assert reasons(report) == {
        "no user": 1,
        "no item": 1,
        "no time": 1,
        "time not readable": 2,
        "time not finite": 1,
        "time before 1970": 1,
        "time after the year 9999": 1,
        "no value": 1,
        "value not a number": 1,
        "value not finite": 3,
        "negative value (if meant: negative_values = 'keep')": 1,
        "too few columns in the line": 1,
        "too many columns in the line": 1,
    }
    assert "rating = 'good'" in report.to_text()
    assert "'yesterday'" in report.to_text()
    kept, _ = read(tmp_path / "e.csv", negative_values="keep", duplicates="keep")
    assert -1.0 in kept.interactions.value
    assert len(dataset.interactions) == 2


def test_numbers_in_typed_sources_are_rejected_alike():
    nan, inf = float("nan"), float("inf")
    frame = pa.table(
        {
            "user": [1.0, 2.0, nan, 1.0, 1.0, 1.0, 1.0, None],
            "item": [1, 2, 1, 1, 1, 1, None, 2],
            "time": [1.0, 2.0, 3.0, nan, inf, -1.0, 4.0, 5.0],
        }
    )
    with Sources() as sources:
        assert sources.open(frame)[0].columns["user"].is_floating()
    dataset = load(frame)
    assert dataset.users.ids.to_pylist() == [1, 2]
    assert len(dataset.interactions) == 2
    values = pa.table({"user": [1, 2, 1, 1, 1], "item": [1, 2, 3, 4, 5], "rating": [1.0, 2.0, nan, inf, -inf]})
    assert load(values).items.ids.to_pylist() == [1, 2]


def test_when_nothing_can_be_read_the_error_shows_a_row(tmp_path):
    with pytest.raises(DataError, match=r"all 2 rows rejected.*time not readable.*12/31/2010"):
        read(tmp_path / "e.csv", "user,item,time\na,1,12/31/2010 8:26\nb,1,12/31/2010 8:27\n")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "who,what,when\na,1,1\n", "who, what, when"),
        ("b.csv", "user_id,movie,product\n", "no rows"),
        ("c.csv", "", "empty"),
        ("d.jsonl", "", "empty"),
        ("e.parquet", b"", "empty"),
        ("f.parquet", b"PAR1 this is not it", "cannot be read"),
        ("g.csv", "\n\n\n", "no lines"),
        ("h.jsonl", '[{"user": 1}]\n', "JSON"),
        ("i.xlsx", "PK", "ending in"),
        ("j.csv.gz", b"\x1f\x8b\x08 broken", "cannot be read"),
        ("k.csv", "user,item,time\na,1,1\na,2,2\n", "one user"),
        ("l.csv", "user,item,time\na,1,1\nb,1,2\n", "one item"),
        ("m.csv", "item\n1\n2\n", "a user column"),
        ("n.csv", b"\xff\xfeu\x00", "row"),
    ],
)
def test_what_cannot_be_used_is_a_data_error(tmp_path, name, content, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path / name, content)


def test_a_wrong_column_names_the_nearest(tmp_path):
    (tmp_path / "e.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"'itemid'.*user_id, item_id, timestamp.*did you mean 'item_id'"):
        read(tmp_path / "e.csv", columns={"item": "itemid"})
    with pytest.raises(ConfigError, match="did you mean 'item'"):
        DataConfig.parse({"events": "e.csv", "columns": {"itm": "x"}}, "data")


def test_a_missing_file_names_the_nearest_and_a_folder_its_files(tmp_path):
    (tmp_path / "events.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"no file 'evnts\.csv'.*did you mean 'events\.csv'"):
        load_dataset(DataConfig(events="evnts.csv"), tmp_path)
    (tmp_path / "empty").mkdir()
    for folder in (".", "empty"):
        with pytest.raises(DataError, match="folder"):
            load_dataset(DataConfig(events=folder), tmp_path)
    with pytest.raises(DataError, match="no file"):
        load_dataset(DataConfig(events="nowhere/*.csv"), tmp_path)
    with pytest.raises(ConfigError, match="events"):
        load_dataset(DataConfig(), tmp_path)


def test_a_parquet_file_cut_or_damaged_in_the_middle_is_a_data_error(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "e.parquet"
    columns = {name: generator.integers(0, 1_000_000, 50_000) for name in ("user", "item", "time")}
    pq.write_table(pa.table(columns), path, compression="zstd")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-10], whole[:20_000] + b"\0" * 50_000 + whole[70_000:]):
        with pytest.raises(DataError, match=r"e\.parquet cannot be read|'e\.parquet' cannot be read"):
            read(path, content)


def test_a_torn_last_line_is_one_rejection(tmp_path):
    _, report = read(tmp_path / "e.csv", GOOD + "carl,")
    assert (report.rows, report.accepted, sum(reasons(report).values())) == (4, 3, 1)
    _, report = read(tmp_path / "f.csv", GOOD + 'carl,"1')
    assert (report.rows, report.accepted, sum(reasons(report).values())) == (4, 3, 1)
    lines = [json.dumps({"user": user, "item": item, "time": time}) for user, item, time in EXPECTED]
    _, report = read(tmp_path / "g.jsonl", "\n".join([*lines, '{"user": "carl", "it', "[1, 2]", "null"]))
    assert (report.rows, report.accepted, reasons(report)) == (6, 3, {"not a JSON object": 3})


def test_mixed_encodings_are_read_line_by_line_and_stated(tmp_path):
    text = "user,item,time\nJosé,1,1\n".encode() + "René,2,2\n".encode("latin-1") + "Zoë,1,3\n".encode()
    dataset, report = read(tmp_path / "e.csv", text)
    assert dataset.users.ids.to_pylist() == ["José", "René", "Zoë"]
    assert any("1 lines are not UTF-8" in note for note in report.notes)


def test_quotes_newlines_and_delimiters_within_a_field_belong_to_it(tmp_path):
    dataset, report = read(tmp_path / "e.csv", 'user,item,time\n"Smith, ""J""",1,1\n"two\nlines",2,2\nplain,1,3\n')
    assert dataset.users.ids.to_pylist() == ['Smith, "J"', "plain", "two\nlines"]
    assert report.rows == 3


def test_ids_are_integers_only_where_all_are(tmp_path):
    dataset, _ = read(tmp_path / "a.csv", "user,item\n1,10\n2,9\n")
    assert (dataset.users.ids.type, dataset.items.ids.to_pylist()) == (pa.int64(), [9, 10])
    for other in ("007", "A12", "10000000000000000000", "1.0"):
        dataset, _ = read(tmp_path / "b.csv", f"user,item\n1,10\n2,9\n3,{other}\n")
        assert dataset.items.ids.to_pylist() == sorted(["10", "9", other]), other
    big = pa.table({"user": [1, 2], "item": pa.array([1, 10**19], pa.uint64())})
    assert load(big).items.ids.to_pylist() == ["1", "10000000000000000000"]
    assert load({"user": [1, "a", 2], "item": [10**19, 5, -(10**30)]}).users.ids.to_pylist() == ["1", "2", "a"]
    assert load(pd.DataFrame({"user": [1, "a"], "item": [2**63, 5]})).items.ids.to_pylist() == ["5", "9223372036854775808"]
    with pytest.raises(DataError, match="fractions"):
        load({"user": [1, 2], "item": [0.5, 1.0]})
    with pytest.raises(DataError, match="ids of type"):
        load({"user": [1, 2], "item": [True, False]})


def test_a_file_without_a_header_has_numbered_columns(tmp_path):
    columns = {"user": "column0", "item": "column1", "value": "column2", "time": "column3"}
    dataset, report = read(tmp_path / "ratings.dat", "1::10::5::978300760\n2::11::3::978302109\n", columns=columns)
    assert dataset.interactions.value.tolist() == [5.0, 3.0]
    assert any("no header line" in note for note in report.notes)


def test_a_header_may_hold_numbers_where_a_word_stands_above_a_column_of_them(tmp_path):
    (tmp_path / "rows.csv").write_text("click,301,109_14\n0,1,5\n1,2,7\n")
    (tmp_path / "bare.csv").write_text("u1,i1,5\nu2,i2,3\n")
    with Sources() as sources:
        assert list(sources.open(str(tmp_path / "rows.csv"), "rows")[0].columns) == ["click", "301", "109_14"]
        assert list(sources.open(str(tmp_path / "bare.csv"), "rows")[0].columns) == ["column0", "column1", "column2"]


def test_several_files_keep_their_order_and_patterns_sort_by_name(tmp_path):
    (tmp_path / "1.csv").write_text("user,item\na,x\n")
    (tmp_path / "2.csv").write_text("userId,product\na,y\nb,x\n")
    forth, report = load_dataset(DataConfig(events=["1.csv", "2.csv"]), tmp_path)
    back, _ = load_dataset(DataConfig(events=["2.csv", "1.csv"]), tmp_path)
    assert forth.items.decode(forth.interactions.item) == ["x", "y", "x"]
    assert back.items.decode(back.interactions.item) == ["y", "x", "x"]
    assert load_dataset(DataConfig(events="*.csv"), tmp_path)[0].fingerprint == forth.fingerprint
    assert report.rows == 3
    kinds, _ = load_dataset(DataConfig(events={"buy": "1.csv", "view": "2.csv"}, kinds={"view": 1, "buy": 4}), tmp_path)
    assert kinds.interactions.weight.tolist() == [4.0, 1.0, 1.0]


def test_sources_that_do_not_fit_together_are_an_error(tmp_path):
    (tmp_path / "1.csv").write_text("user,item\na,x\n")
    (tmp_path / "2.csv").write_text("user,item\n1,1\n2,1\n")
    dataset, report = load_dataset(DataConfig(events=["1.csv", "2.csv"]), tmp_path)
    assert dataset.users.ids.to_pylist() == ["1", "2", "a"]
    assert any("taken as text" in note for note in report.notes)
    with pytest.raises(DataError, match="a frame of"):
        as_arrow(3)


def test_an_empty_name_means_no_such_column(tmp_path):
    text = "user,item,rating\na,1,5\nb,2,-4\n"
    dataset, _ = read(tmp_path / "e.csv", text, columns={"value": ""})
    assert dataset.interactions.value.tolist() == [1.0, 1.0]
