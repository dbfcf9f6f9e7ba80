"""Lists of the catalogue: what is in them, in what order, page by page; and an item's profile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.worlds import NOW, Clock, ask, did, grid, ids, opened

from tastemaker.errors import RequestError
from tastemaker.serve.browse import finder as finders
from tastemaker.serve.browse.survey import Reach
from tastemaker.serve.service import Service
from tastemaker.serve.view import View
from tastemaker.store.base import Store
from tastemaker.wire.bodies import ItemBody
from tastemaker.wire.browse import ItemsQuery

DAY = 86_400_000_000
World = tuple[Service, Store, Clock]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[World]:
    """Twelve items that the model knows, one that it does not; item 3 is met most, then item 5."""
    with opened(tmp_path, grid(12)) as (service, store, clock):
        for place in range(12):
            title = f"{'Red' if place % 2 else 'Blue'} Lantern No {place}"
            service.put_item(f"item {place}", ItemBody(properties={"title": title}, categories=["lamps", f"shelf {place % 3}"]))
        for user in range(6):
            did(service, f"u{user}", "item 3", *(["item 5"] if user % 2 else []))
        service.put_item("fresh", ItemBody(properties={"title": "Red paint"}, categories=["paint"]))
        surveyed(service)
        yield service, store, clock


def surveyed(service: Service) -> None:
    service.refresh()
    service.finder._surveys.take(service.view)


def find(service: Service, **asked: Any) -> list[str]:
    return [item.item_id for item in service.finder.items(ItemsQuery(**asked)).items]


def test_the_best_matches_come_first_then_the_popular(shop: World) -> None:
    service, _, _ = shop
    assert find(service, query="red")[:4] == [
        "item 3",
        "item 5",
        "item 1",
        "item 7",
    ]  # its titles begin with it; then by events
    assert find(service, query="ITEM 3 lantérn") == ["item 3"]
    assert find(service, query="item 1") == ["item 1", "item 10", "item 11"]
    assert find(service, query="antern", limit=2) == ["item 3", "item 5"]
    assert find(service, query="green") == find(service, query="…") == []


def test_pages_hold_each_item_once_whatever_happens_meanwhile(shop: World) -> None:
    service, _, _ = shop
    whole = find(service, query="lantern")
    seen, cursor = [], None
    while True:
        page = service.finder.items(ItemsQuery(query="lantern", limit=5, cursor=cursor))
        assert page.total == 12
        seen += [item.item_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        did(service, f"someone {len(seen)}", *["item 11"] * 3)  # moves item 11 to the front of the next survey
        surveyed(service)
    assert seen == whole and find(service, query="lantern") != whole
    with pytest.raises(RequestError, match="another question"):
        find(service, query="lamp", cursor=service.finder.items(ItemsQuery(query="lantern", limit=5)).next_cursor)
    with pytest.raises(RequestError, match="cursor"):
        find(service, query="lamp", cursor="made up")


def test_what_is_put_is_found_by_the_next_request(shop: World) -> None:
    service, _, _ = shop
    service.put_item("late", ItemBody(properties={"title": "Green kettle"}))
    assert find(service, query="kettle") == ["late"]
    assert find(service, sort="newest", limit=1) == ["late"]
    service.put_item("late", ItemBody(properties={"title": "Green pot"}, hidden=True))
    assert find(service, query="kettle") == [] and find(service, query="pot") == find(service, listed="hidden") == ["late"]
    service.delete_item("late")
    assert find(service, query="pot") == find(service, listed="hidden") == []
    assert find(service, listed="deleted") == find(service, listed="deleted", query="late") == ["late"]


def test_lists_are_what_they_are_called(shop: World) -> None:
    service, _, _ = shop
    now = NOW / 1e6
    service.put_item("item 0", ItemBody(hidden=True))
    service.put_item("item 1", ItemBody(expires_at=now - 1))
    service.put_item("item 2", ItemBody(available_from=now + 60))
    service.delete_item("item 4")
    assert find(service, listed="hidden") == ["item 0"]
    assert find(service, listed="expired") == ["item 1"]
    assert find(service, listed="scheduled") == ["item 2"]
    assert find(service, listed="deleted") == ["item 4"]
    assert find(service, listed="newcomers") == ["fresh"]
    whole = {f"item {place}" for place in range(12)} | {"fresh"}
    assert set(find(service, listed="all")) == whole - {"item 4"}
    assert set(find(service, listed="available")) == whole - {"item 0", "item 1", "item 2", "item 4"}
    assert set(find(service, listed="cold", cold_below=4)) == whole - {"item 4", "item 3"}
    assert set(find(service, listed="cold", cold_below=3)) == whole - {"item 4", "item 3", "item 5"}
    told = service.finder.catalogue(4)
    for name in finders.LISTS:
        assert told.lists[name] == len(find(service, listed=name, cold_below=4)), name
    service.finder._surveys._reach = lambda view: None  # as before the first count
    surveyed(service)
    assert service.finder.catalogue(4).lists["never_shown"] is None
    with pytest.raises(RequestError, match="not counted"):
        find(service, listed="never_shown")


def test_lists_by_category_filter_and_order(shop: World) -> None:
    service, _, _ = shop
    assert find(service, category="paint") == ["fresh"]
    assert find(service, category="no such") == []
    assert find(service, category="shelf 2", query="red", filter="item_id != 'item 5'") == ["item 11"]
    assert find(service, sort="popular", limit=2) == ["item 3", "item 5"]
    assert find(service, sort="newest", limit=2) == ["fresh", "item 11"]
    told = {one.category: one.items for one in service.finder.catalogue(5).categories}
    assert told == {"lamps": 12, "paint": 1, "shelf 0": 4, "shelf 1": 4, "shelf 2": 4}


def test_what_answers_showed_is_counted_with_its_clicks(shop: World) -> None:
    service, _, _ = shop
    for user in range(4):
        answer = ask(service, user_id=f"u{user}", limit=3)
        if user == 0:
            did(service, "u0", answer.items[0].item_id, recommendation_id=answer.recommendation_id)
    service.recorder.flush()
    surveyed(service)
    shown = {item.item_id: item.numbers for item in service.finder.items(ItemsQuery(include=["numbers"])).items}
    assert sum(one.shown for one in shown.values()) == 12 and sum(one.clicked for one in shown.values()) == 1
    assert set(find(service, listed="never_shown")) == {item for item, one in shown.items() if one.shown == 0}
    (clicked,) = [item for item, one in shown.items() if one.clicked]
    profile = service.profile(clicked)
    assert profile.numbers.shown == shown[clicked].shown and profile.click_share == 1 / shown[clicked].shown
    assert profile.reach_window_seconds is not None and profile.reach_counted_at is not None


def test_reach_orders_and_tells_what_was_never_shown(shop: World) -> None:
    service, _, _ = shop

    def reach(view: View) -> Reach:
        shown = np.zeros(view.size, np.int64)
        shown[[view.codes[f"item {place}"] for place in range(9)]] = np.arange(9) * 10
        return Reach(shown, shown // 10, 7 * 86_400.0, NOW)

    service.finder._surveys._reach = reach
    surveyed(service)
    assert find(service, sort="reach", limit=2) == ["item 8", "item 7"]
    assert find(service, listed="never_shown") == ["item 0", "item 9", "item 10", "item 11", "fresh"]
    profile = service.profile("item 4")
    assert (profile.numbers.shown, profile.numbers.clicked, profile.click_share) == (40, 4, 0.1)
    assert profile.click_low is not None and profile.click_high is not None and profile.click_low < 0.1 < profile.click_high
    assert service.profile("item 0").click_share is None


def test_a_profile_tells_what_was_done_and_what_the_model_goes_by(shop: World) -> None:
    service, _, _ = shop
    did(service, "u9", "item 5", type="purchase", timestamp=(NOW - 3 * DAY) / 1e6)
    did(service, "u9", "item 5", timestamp=(NOW - 40 * DAY) / 1e6)
    surveyed(service)
    for _ in range(100):  # events of all time are counted more rarely
        if service.profile("item 5").numbers.events_ever == 5:
            break
        time.sleep(0.02)
        surveyed(service)
    profile = service.profile("item 5")
    assert profile.title == "Red Lantern No 5" and profile.item.categories == ["lamps", "shelf 2"]
    assert profile.numbers.known_by == "training" and profile.trained_with == 0
    assert len(profile.days) == 30 and profile.days[-1].day == "2025-06-15"
    assert {day.day: day.events for day in profile.days if day.events} == {
        "2025-06-12": {"purchase": 1},
        "2025-06-15": {"view": 3},
    }
    assert (profile.numbers.events, profile.numbers.events_ever, profile.numbers.rank) == (4, 5, 2)
    fresh = service.profile("fresh")
    assert fresh.numbers.known_by in ("likeness", "nothing") and fresh.trained_with is None
    if fresh.numbers.known_by == "likeness":
        assert fresh.like and all(one.item_id != "fresh" for one in fresh.like)
    with pytest.raises(RequestError, match="no item"):
        service.profile("never heard of")


def test_items_without_a_model(tmp_path: Path) -> None:
    with opened(tmp_path, None) as (service, _, _):
        service.put_item("a", ItemBody(properties={"title": "Red"}))
        assert find(service, query="red") == ["a"]
        assert service.profile("a").numbers.known_by == "no_model"


def test_similar_items_say_why(shop: World) -> None:
    service, _, _ = shop
    answer = service.similar("item 3", 11, include=["reasons"])
    by_id = {shelf.item_id: {reason.kind: reason for reason in shelf.reasons or []} for shelf in answer.items}
    assert by_id["item 5"]["met_together"].users == 3 and by_id["item 5"]["met_together"].of == 6
    assert by_id["item 0"]["same_category"].category == "lamps"
    assert by_id["item 5"]["like_contents"].weight == pytest.approx(
        3 / 5, abs=1e-4
    )  # red, lantern, no of these and two numbers
    assert "met_together" not in by_id["item 0"]
    assert service.similar("item 3", 5).items[0].reasons is None and len(ids(answer)) >= 5


def test_what_is_new_since_the_survey_comes_last_by_events_and_first_by_age(shop: World) -> None:
    service, _, _ = shop
    for name in ("x", "y"):
        service.put_item(name, ItemBody())
    assert find(service, sort="newest", limit=3) == ["y", "x", "fresh"]
    assert find(service, sort="popular")[-2:] == ["x", "y"]
