"""Preparation: each step on data whose answer is known, and the same dataset from every engine."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import ibis
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.config import DataConfig
from tastemaker.data.load import load, load_dataset
from tastemaker.errors import ConfigError, DataError

DAY = 86_400


def rows_of(dataset):
    """(user id, item id, time in s, value, kind) in the dataset's order."""
    data = dataset.interactions
    users, items = dataset.users.decode(data.user), dataset.items.decode(data.item)
    kinds = [data.kinds[kind] for kind in data.kind]
    return list(zip(users, items, (data.time // 1_000_000).tolist(), data.value.tolist(), kinds, strict=True))


def frame(rows, names=("user", "item", "time")):
    return pa.table({name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


def pairs(dataset):
    return [row[:2] for row in rows_of(dataset)]


def test_rows_alike_become_one_and_the_largest_value_stays():
    events = frame(
        [("a", 1, 10, 2.0), ("a", 1, 10, 5.0), ("a", 1, 11, 1.0), ("b", 2, 10, 1.0)], ("user", "item", "time", "value")
    )
    assert [row[:4] for row in rows_of(load(events))] == [("a", 1, 10, 5.0), ("a", 1, 11, 1.0), ("b", 2, 10, 1.0)]
    assert len(load(events, duplicates="keep").interactions) == 4
    assert [row[:4] for row in rows_of(load(events, duplicates="first"))] == [("a", 1, 10, 2.0), ("b", 2, 10, 1.0)]
    assert [row[:4] for row in rows_of(load(events, duplicates="last"))] == [("a", 1, 11, 1.0), ("b", 2, 10, 1.0)]


def test_without_times_the_order_of_the_source_is_the_order_and_repeats_stay():
    events = frame([("b", "z"), ("a", "z"), ("b", "y"), ("b", "z")], ("user", "item"))
    dataset = load(events)
    assert pairs(dataset) == [("a", "z"), ("b", "z"), ("b", "y"), ("b", "z")]
    assert not dataset.interactions.has_times


def test_ties_of_time_keep_the_order_of_the_source():
    events = frame([("a", 9, 5), ("a", 3, 5), ("a", 7, 5), ("b", 1, 1)])
    assert pairs(load(events)) == [("a", 9), ("a", 3), ("a", 7), ("b", 1)]


def test_consecutive_repeats_drop_to_the_first():
    events = frame([("a", 1, 1), ("a", 1, 2), ("a", 2, 3), ("a", 1, 4), ("b", 1, 5)])
    assert pairs(load(events, drop_repeats=True)) == [("a", 1), ("a", 2), ("a", 1), ("b", 1)]


def test_a_daily_cap_keeps_the_first_of_a_day_and_a_cap_in_all_drops_the_bot():
    day = [("a", n, n) for n in range(5)] + [("a", 9, DAY + 1), ("b", 1, 1), ("b", 2, 2)]
    assert pairs(load(frame(day), max_per_user_per_day=2)) == [("a", 0), ("a", 1), ("a", 9), ("b", 1), ("b", 2)]
    several = [*frame(day).to_pylist(), {"user": "c", "item": 1, "time": 3}]
    dataset = load(pa.Table.from_pylist(several), max_per_user=2)
    assert dataset.users.ids.to_pylist() == ["b", "c"]


def test_sessions_are_cut_at_pauses_and_become_the_users():
    events = frame(
        [("b", 1, 0), ("b", 2, 60), ("b", 3, 60 + 1801), ("a", 1, 50), *(("b", 4, 10_000 * n) for n in range(1, 11))]
    )
    dataset = load(events, session_gap_minutes=30)
    ids = dataset.users.ids.to_pylist()
    assert ids == ["a/1", *(f"b/{n}" for n in range(1, 13))]
    assert pairs(dataset)[:4] == [("a/1", 1), ("b/1", 1), ("b/1", 2), ("b/2", 3)]
    with pytest.raises(ConfigError, match="times"):
        load(events.drop_columns(["time"]), session_gap_minutes=30)


def test_the_newest_of_each_user_stay():
    events = frame([("a", 5, 1), ("a", 4, 2), ("a", 3, 2), ("b", 1, 1)])
    assert pairs(load(events, keep_last=2)) == [("a", 4), ("a", 3), ("b", 1)]


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=12, max_size=60),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_a_core_leaves_only_users_and_items_with_enough_and_nothing_more_is_lost(rows, min_user, min_item):
    left = rows
    while True:
        items = Counter(item for _, item in left)
        kept = [(user, item) for user, item in left if items[item] >= min_item]
        users = Counter(user for user, _ in kept)
        kept = [(user, item) for user, item in kept if users[user] >= min_user]
        if len(kept) == len(left):
            break
        left = kept
    events = frame(rows, ("user", "item"))
    if len({user for user, _ in left}) < 2 or len({item for _, item in left}) < 2:
        with pytest.raises(DataError):
            load(events, min_per_user=min_user, min_per_item=min_item)
    else:
        dataset = load(events, min_per_user=min_user, min_per_item=min_item)
        assert sorted(pairs(dataset)) == sorted(left)


def test_a_single_pass_judges_items_first_and_then_users_once():
    events = frame([(1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (3, 2)], ("user", "item"))
    once = load(events, min_per_item=2, min_per_user=2, core="once")
    assert pairs(once) == [(1, 1), (1, 2), (3, 1), (3, 2)]


def test_values_are_normalised_as_asked():
    events = frame([("a", 1, 1, 1.0), ("a", 2, 2, 3.0), ("b", 1, 1, 5.0)], ("user", "item", "time", "rating"))
    value = lambda name: load(events, normalise=name).interactions.value.tolist()
    assert value("min_max") == [0.0, 0.5, 1.0]
    assert value("z_score") == [-1.0, 1.0, 0.0]
    assert np.allclose(value("log"), np.log1p([1, 3, 5]))
    assert value("none") == [1.0, 3.0, 5.0]


def test_kinds_carry_their_weight_and_others_are_left_out():
    events = frame([("a", 1, "buy"), ("a", 2, "view"), ("b", 1, "like"), ("b", 2, "view")], ("user", "item", "event_type"))
    dataset = load(events)
    assert (dataset.interactions.kinds, dataset.interactions.kind_weights) == (("buy", "like", "view"), (1.0, 1.0, 1.0))
    dataset = load(events, kinds={"view": 1, "buy": 5})
    assert dataset.interactions.kinds == ("view", "buy")
    assert dataset.interactions.weight.tolist() == [5.0, 1.0, 1.0]
    with pytest.raises(DataError, match="'purchase'"):
        load(events, kinds={"purchase": 5})
    with pytest.raises(ConfigError, match="kind"):
        load(events.drop_columns(["event_type"]), kinds={"view": 1})
    with pytest.raises(ConfigError, match="above 0"):
        load(events, kinds={"view": float("nan")})


def test_a_lowest_value_filters():
    events = frame([("a", 1, 2.0), ("a", 2, 3.0), ("b", 1, 5.0)], ("user", "item", "rating"))
    assert pairs(load(events, min_value=3)) == [("a", 2), ("b", 1)]
    with pytest.raises(DataError, match="none of 3"):
        load(events, min_value=9)
    with pytest.raises(ConfigError, match="min_value"):
        load(events.drop_columns(["rating"]), min_value=3)


def test_lists_are_sequences_in_their_own_order():
    events = pa.table({"user": ["b", "a"], "items": [[3, 1, 3], [2]]})
    assert pairs(load(events)) == [("a", 2), ("b", 3), ("b", 1), ("b", 3)]


def test_lists_without_a_user_make_each_row_a_user():
    dataset = load(pa.table({"item_ids": [[3, 1], [2, 3]]}))
    assert pairs(dataset) == [(0, 3), (0, 1), (1, 2), (1, 3)]


def test_steps_are_counted(tmp_path):
    pq.write_table(
        frame([("a", 1, 1), ("a", 1, 1), ("a", 2, 2), ("b", 1, 1), ("b", 2, 9), ("b", 3, 2)]), tmp_path / "e.parquet"
    )
    _, report = load_dataset(DataConfig(events="e.parquet", min_per_item=2, core="once"), tmp_path)
    assert [(step.events, step.users, step.items) for step in report.steps] == [(6, 2, 3), (5, 2, 3), (4, 2, 2)]


WORLD = 3_000


def world():
    """Events with everything that could differ between engines: ids of many alphabets, ties, duplicates, ISO text, lists of kinds."""
    generator = np.random.default_rng(5)
    names = ["a", "B", "b", "A", "é", "z", "Z", "_x", "-x", "ä", "日本", "a\\b", "o'c", "10", "9", "😀"]
    users = [f"{names[n % 16]}{n // 16}" for n in generator.integers(0, 80, WORLD)]
    items = [f"{names[n % 16]}-{n // 16}" for n in (120 * generator.random(WORLD) ** 2).astype(int)]
    zones = ["", "Z", "+02:00", "-0530", ".250", ".123456Z", " UTC"]
    seconds = np.sort(generator.integers(0, 40 * DAY, WORLD)) // 7200 * 7200 + 1_582_934_400
    stamps = [
        np.datetime_as_string(np.datetime64(int(second), "s")).replace("T", "T "[n % 2]) + zones[n % len(zones)]
        for n, second in enumerate(seconds)
    ]
    values = generator.integers(1, 6, WORLD).astype(float)
    kinds = np.array(["view", "buy", "Cart"])[generator.integers(0, 3, WORLD)].tolist()
    return pa.table({"user_id": users, "item_id": items, "time": stamps, "rating": values, "kind": kinds})


CONFIGS = {
    "plain": {},
    "all steps": {
        "kinds": {"view": 1, "buy": 3},
        "drop_repeats": True,
        "max_per_user_per_day": 3,
        "max_per_user": 60,
        "min_per_user": 3,
        "min_per_item": 3,
        "keep_last": 20,
        "normalise": "log",
        "min_value": 2,
    },
    "sessions": {"session_gap_minutes": 600, "duplicates": "last", "min_per_user": 2},
    "first": {"duplicates": "first", "normalise": "min_max"},
    "z": {"normalise": "z_score"},
}


@pytest.fixture(scope="session")
def in_postgres(postgres, tmp_path_factory):
    """The world in a PostgreSQL table, in a DuckDB table and in a file sorted by item id bytes."""
    table = world()
    rows = list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    address = postgres.replace("postgresql://tester@/postgres?host=", "")
    with psycopg.connect(host=address, user="tester", dbname="postgres") as connection, connection.cursor() as cursor:
        cursor.execute("create table events(user_id text, item_id text, time text, rating float8, kind text)")
        with cursor.copy("copy events from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute("create table baskets(user_id int, item_ids int[])")
        cursor.execute("insert into baskets values (2, '{5,3,5}'), (1, '{4,3}'), (3, null)")
        cursor.execute("create schema shop")
        cursor.execute("create table shop.typed(customer bigint, sku numeric, at timestamptz, score real)")
        cursor.execute(
            "insert into shop.typed values (2, 10, '2020-01-01 00:00:00.25+02', 1), (1, 9, '2020-06-01', 'nan'), "
            "(1, 9, '2020-06-01', 2), (null, 9, '2020-06-01', 1), (1, 11, null, 2)"
        )
    folder = tmp_path_factory.mktemp("world")
    order = sorted(range(len(rows)), key=lambda place: (rows[place][1].encode(), rows[place][4].encode(), rows[place][3]))
    pq.write_table(table.take(order), folder / "events.parquet")
    return postgres, folder


@pytest.mark.parametrize("name", CONFIGS)
def test_a_database_gives_the_same_dataset_as_a_file(in_postgres, name):
    url, folder = in_postgres
    here, report = load_dataset(DataConfig(events="events.parquet", **CONFIGS[name]), folder)
    there, other = load_dataset(DataConfig(events=f"{url}#events", **CONFIGS[name]), folder)
    assert len(here.interactions) > 300
    assert here.users == there.users
    assert here.items == there.items
    assert here.fingerprint == there.fingerprint
    assert report.steps == other.steps


def test_the_work_is_done_inside_the_database(in_postgres, monkeypatch):
    """Every statement that touches events runs in PostgreSQL; what leaves it is integers, two vocabularies and counts."""
    from ibis.backends.postgres import Backend

    left = []
    fetch = Backend.to_pyarrow_batches

    def spy(self, expr, **options):
        left.append(expr.schema())
        return fetch(self, expr, **options)

    monkeypatch.setattr(Backend, "to_pyarrow_batches", spy)
    monkeypatch.setattr(ibis.duckdb, "connect", lambda *_, **__: pytest.fail("DuckDB was opened"))
    url, folder = in_postgres
    load_dataset(DataConfig(events=f"{url}#events", **CONFIGS["all steps"]), folder)
    tables = [schema for schema in left if "side" in schema.names]
    assert len(tables) == 1
    assert all(kind.is_numeric() for kind in tables[0].values())


def test_typed_database_columns_are_read(in_postgres):
    url, folder = in_postgres
    dataset, report = load_dataset(DataConfig(events=f"{url}#shop.typed", columns={"user": "customer", "time": "at"}), folder)
    assert rows_of(dataset) == [(1, 9, 1_590_969_600, 2.0, "event"), (2, 10, 1_577_829_600, 1.0, "event")]
    assert dataset.interactions.time[1] % 1_000_000 == 250_000
    assert sorted(reject.reason for reject in report.rejects) == ["no time", "no user", "value not finite"]
    assert report.accepted + sum(reject.rows for reject in report.rejects) == report.rows == 5


def test_lists_in_a_database_are_sequences(in_postgres):
    url, folder = in_postgres
    dataset, report = load_dataset(DataConfig(events=f"{url}#baskets"), folder)
    assert pairs(dataset) == [(1, 4), (1, 3), (2, 5), (2, 3), (2, 5)]
    assert [(reject.reason, reject.rows) for reject in report.rejects] == [("no item", 1)]


def test_a_wrong_table_or_host_is_a_data_error_without_the_password(in_postgres):
    url, folder = in_postgres
    with pytest.raises(DataError, match="did you mean 'events'"):
        load_dataset(DataConfig(events=f"{url}#event"), folder)
    with pytest.raises(DataError) as caught:
        load_dataset(DataConfig(events="postgresql://me:s3cret@127.0.0.1:1/db#events"), folder)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(DataError, match="URL#table"):
        load_dataset(DataConfig(events=url), folder)


def test_times_never_run_backwards_within_a_user(in_postgres):
    _, folder = in_postgres
    data = load(str(folder / "events.parquet")).interactions
    assert all(a <= b for a, b in pairwise(zip(data.user.tolist(), data.time.tolist(), strict=True)))
