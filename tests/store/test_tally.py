"""Counts: windows, and what one user can move."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import DataError
from tastemaker.store import tally
from tastemaker.store.base import Event

HOUR, DAY = tally.HOUR, 24 * tally.HOUR
NOW = 1_700_000_000_000_000 // DAY * DAY


@given(since=st.integers(-20_000, 20_000), length=st.none() | st.integers(0, 40_000))
def test_buckets_cover_each_hour_of_a_window_once_and_no_other(since, length):
    until = None if length is None else since + length
    hours: Counter[int] = Counter()
    for level, first, end in tally.cover(since, until):
        width = tally.WIDTHS[level]
        hours.update(range(first * width, (70_000 if end is None else end * width)))
    assert set(hours.values()) <= {1}
    assert set(hours) == set(range(since, max(hours, default=since) + 1 if until is None else until))


@given(since=st.integers(0, 500_000), length=st.integers(0, 500_000))
def test_a_window_is_few_buckets_long(since, length):
    wide = sum(end - first for _, first, end in tally.cover(since, since + length))
    assert wide <= 2 * (23 + 15 + 15) + length // tally.WIDTHS[-1]


def test_counts_are_events_in_the_window_and_windows_add_up(store, monkeypatch):
    monkeypatch.setattr(tally, "LOG_ROWS", 50)  # some are added up, some are not
    events = [Event(f"u{n}", f"i{n % 4}", NOW + n * HOUR // 2, "buy" if n % 3 == 0 else "view") for n in range(400)]
    for start in range(0, 400, 40):
        store.add_events(events[start : start + 40])

    def expected(since, until, kinds=None):
        since, until = since // HOUR * HOUR, until // HOUR * HOUR
        return Counter(one.item_id for one in events if since <= one.time < until and (kinds is None or one.kind in kinds))

    end = NOW + 201 * HOUR
    for since, until in (
        (NOW, end),
        (NOW + 5 * HOUR + 7, NOW + 190 * HOUR + 1),
        (NOW + HOUR, NOW + 2 * HOUR),
        (end, end),
        (0, NOW),
    ):
        assert store.counts(since, until) == expected(since, until)
        assert store.counts(since, until, ["buy"]) == expected(since, until, ["buy"])
    assert store.counts(NOW + 30 * HOUR) == expected(NOW + 30 * HOUR, end)
    assert Counter(store.counts(NOW, NOW + DAY)) + Counter(store.counts(NOW + DAY)) == Counter(store.counts(NOW))
    assert store.counts(NOW, kinds=["never"]) == store.counts(NOW, kinds=[]) == {}


@pytest.mark.parametrize("hours", [1, 400])
def test_one_user_with_countless_clicks_moves_an_item_by_three(store, hours, monkeypatch):
    monkeypatch.setattr(tally, "LOG_ROWS", 1000)
    store.add_events([Event(f"u{n}", "honest", NOW + n) for n in range(10)])
    for start in range(0, 5000, 500):
        store.add_events([Event("bot", "pushed", NOW + n * hours * HOUR // 5000) for n in range(start, start + 500)])
    assert store.counts(0) == {"honest": 10, "pushed": 3}
    weeks = [store.counts(NOW + n * 7 * DAY, NOW + (n + 1) * 7 * DAY).get("pushed", 0) for n in range(10)]
    assert sum(weeks) == 3, "over all windows together"


def test_what_a_user_adds_does_not_depend_on_the_order_of_arrival(store):
    times = [NOW, NOW + 5 * DAY, NOW + 40 * DAY, NOW + 2 * DAY, NOW + 300 * DAY]
    for name, order in (("a", times), ("b", sorted(times)), ("c", sorted(times, reverse=True))):
        for stamp in order:
            store.add_events([Event("u", name, stamp)])
    for since in times:
        counts = store.counts(since)
        assert counts["a"] == counts["b"] == counts["c"] == min(3, sum(stamp >= since for stamp in times))


def test_windows_of_old_hours_are_rounded_to_days(store):
    store.add_events([Event(f"u{n}", "i", NOW + n * HOUR) for n in range(48)])
    store.retain()
    assert store.counts(NOW + 30 * HOUR) == {"i": 24} and store.counts(NOW, NOW + 30 * HOUR) == {"i": 24}
    store.add_events([Event("late", "i", NOW + 30 * HOUR)])
    store.retain()
    assert store.counts(NOW + DAY) == {"i": 25} and store.counts(0) == {"i": 49}


def test_what_newer_events_displaced_is_told(store):
    times = {"i": [1, 3, 5, 8, 11, 12], "j": [2, 4], "k": [1, 2, 3, 4, 5], "l": [10, 11, 12, 13]}
    store.add_events([Event("u", item, NOW + hour * HOUR, "view") for item, hours in times.items() for hour in hours])
    store.add_events([Event("v", "i", NOW + 9 * HOUR)] * 4)
    keys, moments = store.displaced(NOW + 10 * HOUR)
    # of u and i those of hours 3 and 5 (8 still counts); nothing of j, k and l; nothing of v
    assert sorted(zip(store.item_ids(keys.tolist()), ((moments - NOW) // HOUR).tolist(), strict=True)) == [("i", 3), ("i", 5)]
    assert store.displaced(NOW + 20 * HOUR)[0].tolist() == []


def test_the_days_of_an_item_add_up_to_its_events_by_kind(store, monkeypatch):
    monkeypatch.setattr(tally, "LOG_ROWS", 50)  # some are added up, some are not
    kinds = ("view", "buy", "dislike")
    events = [Event(f"u{n}", f"i{n % 4}", NOW + n * HOUR, kinds[n % 3]) for n in range(400)]
    for start in range(0, 400, 40):
        store.add_events(events[start : start + 40])
    for item, first, last in (("i1", NOW // DAY, NOW // DAY + 20), ("i2", NOW // DAY + 3, NOW // DAY + 5)):
        mine = Counter(
            (one.time // DAY, one.kind) for one in events if one.item_id == item and first <= one.time // DAY <= last
        )
        assert {(day, kind): n for day, kind, n in store.days_of(item, first, last)} == mine
    assert [day for day, _, _ in store.days_of("i1", NOW // DAY, NOW // DAY + 20)] == sorted(
        day for day, _, _ in store.days_of("i1", NOW // DAY, NOW // DAY + 20)
    )
    assert store.days_of("never heard of", 0, 10) == []
    with pytest.raises(DataError, match="at most 400"):
        store.days_of("i1", 0, 400)
