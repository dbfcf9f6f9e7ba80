"""Outcomes, against counting by definition; followed while they come in, and begun anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tastemaker.serve.outcomes import Outcomes, Reach, Share, Tally
from tastemaker.store.base import Event, Shown, Store
from tastemaker.store.sql import SqlStore

DAY, HOUR = 86_400_000_000, 3_600_000_000
KINDS = ["view", "click", "purchase", "dislike", "impression"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqlStore(str(tmp_path / "shop.db")) as opened:
        yield opened


def given_to(store: Store, number: int, source: str = "sasrec/1", day: int = 10, items: tuple[str, ...] = ("a", "b")) -> str:
    name = f"{number:026d}"
    store.add_answers([Shown(name, f"u{number}", day * DAY + number, items, source, {"body": {"scenario": "home"}})])
    return name


def event(answer: str, kind: str, item: str = "a", time: int = 11 * DAY) -> Event:
    return Event("u1", item, time, kind, recommendation_id=answer)


def counting(store: Store, **options: int) -> Outcomes:
    found = Outcomes(store, lambda: 12 * DAY, {"purchase"}, **options)
    while found.refresh():
        pass
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(KINDS), st.sampled_from("ab")), max_size=25), data=st.data()
)
def test_the_counts_are_those_of_the_definition(
    events: list[tuple[int, str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with SqlStore(str(tmp_path_factory.mktemp("shop") / "shop.db")) as store:
        outcomes = Outcomes(store, lambda: 12 * DAY, {"purchase"})
        answers = [f"{number:026d}" for number in range(5)]
        steps = [("answer", number) for number in range(5)] + [("event", place) for place in range(len(events))]
        for what, number in data.draw(st.permutations(steps)):  # events may come before their answer is kept
            if what == "answer":
                given_to(store, number, source=f"model/{number % 2}")
            else:
                target, kind, item = events[number]
                store.add_events([event(answers[target], kind, item)])
            if data.draw(st.booleans()):
                outcomes.refresh()
        outcomes.refresh()
        for counted in (outcomes.counted(), counting(store).counted()):
            for source in (0, 1):
                mine = [n for n in range(5) if n % 2 == source]
                clicked = {n for n, kind, _ in events if kind not in ("dislike", "impression") and n in mine}
                bought = {n for n, kind, _ in events if kind == "purchase" and n in mine}
                total = counted.total(source=f"model/{source}")
                assert (total.answers, total.clicked, total.bought) == (len(mine), len(clicked), len(bought))
            assert counted.total(scenario="home").answers == 5 and counted.total(scenario="").answers == 0
        for item in "ab":
            reach = outcomes.reach(item)
            clicks = {n for n, kind, one in events if one == item and kind not in ("dislike", "impression")}
            assert (reach.shown, reach.clicked) == (5, len(clicks))


def test_an_item_never_shown_has_no_reach(store: Store) -> None:
    given_to(store, 1)
    outcomes = counting(store)
    assert outcomes.reach("c").shown == 0
    assert outcomes.shown() == {"a": 1, "b": 1} and outcomes.coverage("abc") == 2


def test_codes_are_marked_as_items_are_shown_and_come_to_be_known(store: Store) -> None:
    outcomes, codes = counting(store), {"a": 2, "b": 3}
    assert outcomes.shown_in(1, codes, 4).tolist() == [False] * 4
    given_to(store, 1, items=("a", "late"))
    outcomes.refresh()
    assert outcomes.shown_in(1, codes, 4).tolist() == [False, False, True, False]
    codes["late"] = 4
    assert outcomes.shown_in(1, codes, 4).tolist() == [False, False, True, False]
    assert outcomes.shown_in(1, codes, 5).tolist() == [False, False, True, False, True]
    assert outcomes.shown_in(1, codes, 4).tolist() == [False, False, True, False]
    assert outcomes.shown_in(2, {"late": 2}, 3).tolist() == [False, False, True]


def test_of_many_answers_the_newest_are_counted(store: Store) -> None:
    for number in range(30):
        given_to(store, number)
    counted = counting(store, most=10).counted()
    assert counted.total().answers == 10
    assert counted.since == 10 * DAY + 20


def test_the_window_counts_whole_hours(store: Store) -> None:
    given_to(store, 1, day=5)
    given_to(store, 2, day=10)
    counted = counting(store).counted()
    assert counted.total(since=5 * DAY + HOUR).answers == 1 and counted.total(since=5 * DAY + HOUR - 1).answers == 2


def test_a_begin_in_several_rounds_forgets_no_event(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tastemaker.serve.outcomes._ROUND", 4)
    monkeypatch.setattr("tastemaker.serve.outcomes._EARLY", 3)
    store.add_events([event(given_to(store, number), "click") for number in range(30)])
    outcomes = Outcomes(store, lambda: 12 * DAY, {"purchase"})
    assert outcomes.refresh() and outcomes.counted().at == 0
    while outcomes.refresh():
        pass
    total = outcomes.counted().total()
    assert (total.answers, total.clicked, outcomes.counted().at) == (30, 30, 12 * DAY)


def test_events_that_point_at_nothing_take_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tastemaker.serve.outcomes._EARLY", 20)
    store.add_events([event("nowhere", "click", f"item {number}") for number in range(500)])
    store.add_events([event(f"none {number}", "click") for number in range(50)])
    early = counting(store)._early
    assert (len(early), max(map(len, early.values()))) == (20, 1)
    store.add_events([event("nowhere", "click", f"item {number}") for number in range(500)])
    assert max(map(len, counting(store)._early.values())) == 100


def test_an_answer_that_gets_the_sequence_of_an_erased_one_is_counted(store: Store) -> None:
    for number in range(5):
        given_to(store, number)
    outcomes = counting(store)
    store.erase_user("u4")
    store.erase_user("u3")
    for number in range(5, 9):  # the first two are given the sequences that were freed
        store.add_events([event(given_to(store, number), "click")])
        outcomes.refresh()
        assert (outcomes.counted().total().answers, outcomes.counted().total().clicked) == (number + 1, number - 4)
    assert not outcomes.refresh() and outcomes.counted().total().answers == 9


def test_a_click_counts_for_an_item_only_where_it_was_shown(store: Store) -> None:
    first, second = given_to(store, 1, items=("a",)), given_to(store, 2, items=("b",))
    store.add_events([event(first, "click", "b"), event(second, "view", "b"), event(second, "purchase", "b")])
    outcomes = counting(store)
    assert (outcomes.reach("b").shown, outcomes.reach("b").clicked) == (1, 1)
    assert outcomes.counted().total().clicked == 2


def test_what_is_written_while_it_is_followed_is_counted_once(store: Store) -> None:
    outcomes, writing = Outcomes(store, lambda: 12 * DAY, {"purchase"}), threading.Event()

    def write(first: int) -> None:
        for number in range(first, first + 60):
            store.add_events([event(given_to(store, number), "purchase")])

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100)]
    follower = threading.Thread(target=lambda: [outcomes.refresh() for _ in iter(writing.is_set, True)])
    for thread in (*threads, follower):
        thread.start()
    for thread in threads:
        thread.join()
    writing.set()
    follower.join()
    outcomes.refresh()
    for counted in (outcomes.counted(), counting(store).counted()):
        assert counted.total() == Tally(120, 120, 120)
    assert (outcomes.reach("a"), outcomes.reach("b")) == (Reach(120, 120), Reach(120, 0))


def test_an_erased_user_leaves_the_counts_and_no_name(store: Store) -> None:
    given_to(store, 1)
    outcomes = counting(store)
    store.erase_user("u1")
    outcomes.refresh()
    assert outcomes.counted().total().answers == 1
    assert "u1" not in repr(vars(outcomes))


def test_a_share_has_wilsons_interval() -> None:
    share = Share.wilson(7, 38)
    assert (share.value, share.of) == (7 / 38, 38)
    assert share.low == pytest.approx(0.0922, abs=1e-4) and share.high == pytest.approx(0.3342, abs=1e-4)
    assert Share.wilson(0, 0) == Share(None, None, None, 0)
