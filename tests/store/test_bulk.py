"""Whole tables at once: the same state as event by event."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from tastemaker.errors import DataError, UserError
from tastemaker.store import open_store
from tastemaker.store.base import Event
from tastemaker.store.bulk import load_events, load_items, load_users

HOUR = 3_600_000_000
NOW = 1_700_000_000_000_000


def world(number: int = 600, seed: int = 1) -> list[Event]:
    draw = random.Random(seed)
    return [
        Event(
            f"u{draw.randrange(20)}",
            f"i{draw.randrange(9)}",
            NOW + draw.randrange(9000) * HOUR,
            draw.choice(["view", "buy"]),
            draw.random(),
        )
        for _ in range(number)
    ]


def as_table(events: list[Event]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"user_id": e.user_id, "item_id": e.item_id, "time": e.time, "kind": e.kind, "value": e.value} for e in events]
    )


def rows_of(store, table: str) -> list[tuple]:
    with store.db.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return sorted(map(tuple, cursor.fetchall()))


@pytest.mark.parametrize("append", [False, True], ids=["into nothing", "to some"])
def test_a_table_at_once_is_the_same_as_event_by_event(store, tmp_path, append):
    events, before = world(), world(50, seed=2) if append else []
    store.add_events(before)
    load_events(store, as_table(events), append=append)
    with open_store(str(tmp_path / "other.db")) as other:
        other.add_events(before)
        other.add_events(sorted(events, key=lambda event: event.time))
        for each in (store, other):
            each.retain()  # both add up their logs and forget the same hours

        def all_of(one):
            return [
                one.histories([f"u{n}" for n in range(20)]),
                one.seen([f"u{n}" for n in range(20)], ["buy"], NOW + 4000 * HOUR),
                [one.counts(NOW + n * 500 * HOUR, NOW + n * 700 * HOUR) for n in range(12)],
                [batch.to_pylist() for batch in one.scan_events()],
                one.last_sequence(),
            ]

        assert all_of(store) == all_of(other)
    assert store.verify()
    store.add_events([Event("u1", "i1", NOW, event_id="x")])
    assert store.verify() and store.last_sequence() == len(before) + len(events) + 1


def test_the_indexes_are_there_afterwards(store):
    names = (
        "SELECT name FROM sqlite_master WHERE type = 'index'"
        if store.db.dialect == "sqlite"
        else "SELECT indexname FROM pg_indexes"
    )
    with store.db.cursor() as cursor:
        cursor.execute(names)
        before = sorted(cursor.fetchall())
    load_events(store, as_table(world()))
    with store.db.cursor() as cursor:
        cursor.execute(names)
        assert sorted(cursor.fetchall()) == before


def test_a_store_with_events_takes_more_only_when_asked(store):
    load_events(store, as_table(world()))
    with pytest.raises(UserError, match="holds events already"):
        load_events(store, as_table(world()))
    assert store.last_sequence() == 600


def test_columns_may_be_missing_and_ids_numbers(store):
    load_events(store, pa.table({"user_id": [1, 1], "item_id": pa.array([7, 8], pa.int32())}))
    assert [(one.item_id, one.time, one.kind, one.value) for one in store.history("1")] == [
        ("7", 0, "view", 1.0),
        ("8", 0, "view", 1.0),
    ]


@pytest.mark.parametrize(
    "bad",
    [{"user_id": ["x" * 257], "item_id": ["i"]}, {"user_id": ["u"], "item_id": [""]}, {"user_id": ["u"]}, {"user_id": ["u"], "item_id": [None]},
     {"user_id": ["u"], "item_id": ["i"], "time": [10**18]}, {"user_id": ["u"], "item_id": ["i"], "value": [float("nan")]}],
    ids=["long", "empty", "no item column", "null", "time", "nan"],
)  # fmt: skip
def test_bad_tables_change_nothing(store, bad):
    table = pa.table({name: pa.array(column, pa.string()) if column == [None] else column for name, column in bad.items()})
    with pytest.raises(DataError):
        load_events(store, table)
    assert store.last_sequence() == 0 and store.users().rows == []


def test_items_and_users_bring_their_columns(store):
    table = pa.table(
        {
            "item_id": [1, 2],
            "title": ["One", None],
            "price": pa.array([1.5, float("nan")]),
            "category": [["a", "b"], None],
            "day": pa.array([0, 1], pa.timestamp("us")),
        }
    )
    assert load_items(store, table) == 2
    assert store.item("1").properties == {"title": "One", "price": 1.5, "day": "1970-01-01T00:00:00"}
    assert store.item("1").categories == ("a", "b") and store.item("2").properties == {"day": "1970-01-01T00:00:00.000001"}
    assert load_users(store, pa.table({"user_id": ["u"], "age": [3]})) == 1
    assert store.user("u").properties == {"age": 3}
