"""Impressions: what was shown, and what came of it, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tastemaker.data.features.moments import MomentsConfig
from tastemaker.data.impressions import Impressions, Known
from tastemaker.store.base import Event, Item, Shown, Store, User, open_store

NOW = 1_700_000_000_000_000 // 3_600_000_000 * 3_600_000_000
MINUTE, HOUR = 60_000_000, 3_600_000_000


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store("memory:") as opened:
        opened.put_items(
            [Item("a", {"price": 2.0, "colour": "red"}), Item("b", {"price": 4.0, "colour": "blue"}), Item("c", {"price": 7.5})]
        )
        opened.put_users([User("u", {"age": 30.0}), User("w", {"age": 41.5})])
        opened.add_events([Event("u", "c", NOW - 3 * HOUR), Event("v", "a", NOW - HOUR), Event("v", "b", NOW + HOUR)])
        yield opened


def answer(name: str, user: str | None, items: str, at: int = NOW, **request: Any) -> Shown:
    return Shown(name, user, at, tuple(items), "dcnv2/3", {"kind": "user", "body": {}, "previous": [], **request})


def click(name: str, item: str, at: int, kind: str = "click", **more: Any) -> Event:
    return Event("u", item, at, kind, recommendation_id=name, **more)


def rows(store: Store, sources: tuple[str, ...] = (), **how: Any) -> list[dict[str, Any]]:
    shown = Impressions.of(store, **how)
    known = Known.of(store)
    return shown.table(known.moments(MomentsConfig.parse({"popularity": [24, 0]}), sources), known).to_pylist()


def test_each_item_shown_is_a_row_with_what_came_of_it(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab"), answer("s", "v", "ca", NOW + 2 * HOUR)])
    store.add_events(
        [click("r", "b", NOW + MINUTE, position=2), click("r", "b", NOW + 2 * MINUTE), click("s", "c", NOW + 3 * HOUR, "buy")]
    )
    found = rows(store)
    columns = ("recommendation_id", "item", "position", "label.click", "label.buy", "source")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("r", "a", 1, 0, 0, "dcnv2/3"),
        ("r", "b", 2, 1, 0, "dcnv2/3"),
        ("s", "c", 1, 0, 1, "dcnv2/3"),
        ("s", "a", 2, 0, 0, "dcnv2/3"),
    ]


def test_rows_hold_what_was_known_at_their_moment_and_no_more(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab"), answer("s", "v", "a", NOW + 2 * HOUR), answer("t", "x", "a")])
    store.add_events([Event("u", "a", NOW), Event("u", "b", NOW + 1)])  # at that moment, and after it
    first, second, of_v, of_x = rows(store)
    assert first["history"] == ["c"] and first["events"] == 1 and first["since_last"] == 3 * 3600
    assert (first["popularity.24h"], second["popularity.24h"]) == (1, 0)
    assert of_v["history"] == ["a", "b"] and of_v["met"] == 1 and of_v["popularity.ever"] == 2
    assert of_v["ratio.price"] == pytest.approx(2 / 3) and of_v["like.colour"] == 0.5
    assert (first["item.price"], first["user.age"], of_v["user.age"]) == (2.0, 30.0, None)
    assert of_x["history"] == [] and of_x["events"] == 0
    assert first["at"].hour == NOW // HOUR % 24


def test_sessions_are_what_they_said(store: Store) -> None:
    body = {"events": [{"item_id": "b", "type": "view"}, {"item_id": "no such"}, {"item_id": "a"}]}
    store.add_answers([answer("r", "u", "c", kind="session", body=body), answer("s", None, "c")])
    of_session, of_nobody = rows(store)
    assert of_session["history"] == ["b", "a"] and of_session["user.age"] is None
    assert of_nobody["history"] == []


def test_positions_go_on_over_pages(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab"), answer("s", "u", "c", NOW + 1, previous=["r"])])
    assert [row["position"] for row in rows(store)] == [1, 2, 3]


def test_only_what_came_after_the_answer_and_in_time_came_of_it(store: Store) -> None:
    store.add_answers([answer("r", "u", "abc")])
    store.add_events(
        [
            click("r", "a", NOW - 1),
            click("r", "b", NOW + 5 * HOUR),
            click("r", "c", NOW + HOUR),
            click("r", "x", NOW + HOUR),
            click("none", "a", NOW + HOUR),
        ]
    )
    assert [row["label.click"] for row in rows(store)] == [0, 1, 1]
    assert [row["label.click"] for row in rows(store, horizon_hours=2.0)] == [0, 0, 1]


def test_what_models_thought_is_what_was_kept(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab", standings={"ease": [1.5, None]}), answer("s", "u", "c")])
    assert Impressions.of(store).sources == ("ease",)
    found = [row["score.ease"] for row in rows(store, ("ease",))]
    assert found[0] == 1.5 and found[1] != found[1] and found[2] != found[2]


def test_later_answers_alone_are_taken_where_earlier_ones_were(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab")])
    before = Impressions.of(store)
    store.add_answers([answer("s", "u", "c", NOW + 1)])
    later = Impressions.of(store, after=before.last)
    assert later.items.to_pylist() == ["c"] and later.last > before.last
    assert Impressions.of(store, after=later.last).last == later.last and len(Impressions.of(store, after=later.last)) == 0


def test_items_that_were_deleted_are_still_what_was_shown(store: Store) -> None:
    store.add_answers([answer("r", "u", "ab")])
    store.delete_item("a")
    first, second = rows(store)
    assert first["item"] == "a" and first["item.price"] is None and second["item.price"] == 4.0
