"""Items, and what changed since."""

from __future__ import annotations

import math

import pytest

from tastemaker.errors import DataError
from tastemaker.store.base import Event, Item

NOW = 1_700_000_000_000_000
FULL = Item("i\0é", {"price": 1.5, "tags": ["a", "b"], "x": None}, ("c", "d"), NOW, NOW + 5, True, (0.1, -2.0))


def test_an_item_comes_back_as_it_was_put(store):
    store.put_items([FULL, Item("plain")])
    assert store.item(FULL.item_id) == FULL and store.item("plain") == Item("plain")
    assert store.item("nothing") is None and store.item("\ud800") is None


def test_put_replaces_and_the_last_of_an_id_wins(store):
    store.put_items([FULL])
    store.put_items([Item(FULL.item_id, {"a": 1}), Item(FULL.item_id, {"b": 2})])
    assert store.item(FULL.item_id) == Item(FULL.item_id, {"b": 2})


def test_changes_tell_of_puts_tombstones_and_items_met_in_events(store):
    store.put_items([Item("a"), Item("b")])
    store.add_events([Event("u", "c", NOW), Event("u", "a", NOW)])
    changed, number = store.changes(0)
    assert [item.item_id for item in changed] == ["a", "b", "c"]
    assert store.changes(number) == ([], number)
    assert store.delete_item("b") and not store.delete_item("b") and not store.delete_item("never")
    store.put_items([Item("a", hidden=True)])
    store.add_events([Event("u", "b", NOW)])
    assert store.changes(number)[0] == [Item("b", deleted=True), Item("a", hidden=True)]
    assert store.item("b") is None and [item.item_id for item in store.items().rows] == ["a", "c"]
    store.put_items([Item("b")])
    assert store.item("b") == Item("b")


def test_changes_come_in_parts(store):
    store.put_items([Item(f"i{n:03}") for n in range(25)])
    found, number = [], 0
    while True:
        part, number = store.changes(number, limit=10)
        if not part:
            break
        found += [item.item_id for item in part]
    assert found == [f"i{n:03}" for n in range(25)]


def test_items_page_by_id(store):
    store.put_items([Item(name) for name in ("b", "ä", "a", "B", "\U0001f600", "\uffff")])
    found, cursor = [], None
    while True:
        page = store.items(cursor, 2)
        found += [item.item_id for item in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert found == ["B", "a", "b", "ä", "\uffff", "\U0001f600"], "by code point, in every database"


@pytest.mark.parametrize(
    "bad",
    [Item(""), Item("x", {"a": object()}), Item("x", embedding=(math.nan,)), Item("x", expires_at=10**18)],
    ids=["id", "json", "nan", "time"],
)
def test_a_batch_with_a_bad_item_changes_nothing(store, bad):
    with pytest.raises(DataError):
        store.put_items([Item("good"), bad])
    assert store.changes(0) == ([], 0)
