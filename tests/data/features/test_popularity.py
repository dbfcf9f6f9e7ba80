"""Popularity at any moment of the past, against counting one event after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.data.features.popularity import EVER, Snapshot, Tally
from tastemaker.data.interactions import Interactions
from tastemaker.store.base import Event, open_store
from tastemaker.store.tally import HOUR, PER_USER

WINDOWS = (1, 24, 168, EVER)


def interactions(rows: list[tuple[int, int, int, int]]) -> Interactions:
    """From (user, item, hour, kind)."""
    rows = sorted(rows, key=lambda row: (row[0], row[2]))
    user, item, hour, kind = (np.array(column) for column in zip(*rows, strict=True))
    ones = np.ones(len(rows), np.float32)
    return Interactions(
        user.astype(np.int32),
        item.astype(np.int32),
        hour.astype(np.int64) * HOUR + np.arange(len(rows)),
        ones,
        kind.astype(np.int8),
        np.full(len(rows), -1, np.int8),
        kinds=("view", "buy"),
        kind_weights=(1.0, 1.0),
    )


def counted(rows: Interactions, item: int, at: int, hours: int) -> int:
    """The newest three events of each user and kind before the hour, those of them within the window."""
    end, found = at // HOUR, 0
    for user in np.unique(rows.user):
        for kind in np.unique(rows.kind):
            mine = rows.time[(rows.user == user) & (rows.item == item) & (rows.kind == kind)]
            happened = np.sort(mine[mine // HOUR < end])[-PER_USER:] // HOUR
            found += int((happened >= (-(10**9) if hours == EVER else end - hours)).sum())
    return found


@given(
    st.lists(st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(0, 60), st.integers(0, 1)), min_size=1, max_size=40),
    st.integers(-2, 400),
    st.sampled_from(WINDOWS),
)
def test_a_tally_is_what_counting_gives(rows: list[tuple[int, int, int, int]], hour: int, window: int) -> None:
    data = interactions(rows)
    items, at = np.arange(2, 6, dtype=np.int32), np.full(4, hour * HOUR + 17)
    found = Tally.of(data, WINDOWS).counts(items, at, window)
    assert found.tolist() == [counted(data, item, hour * HOUR + 17, window) for item in items.tolist()]


def test_what_happens_within_the_hour_is_not_known_yet() -> None:
    tally = Tally.of(interactions([(2, 2, 5, 0)]), (1, EVER))
    at = np.array([5, 6, 7]) * HOUR + HOUR // 2
    items = np.full(3, 2, np.int32)
    assert tally.counts(items, at, 1).tolist() == [0, 1, 0]
    assert tally.counts(items, at, EVER).tolist() == [0, 1, 1]


def test_a_store_counts_the_same() -> None:
    draw = np.random.default_rng(0)
    hours, users, items = draw.integers(0, 200, 300), draw.integers(2, 9, 300), draw.integers(2, 7, 300)
    data = interactions([(int(u), int(i), int(h), 0) for u, i, h in zip(users, items, hours, strict=True)])
    with open_store("memory:") as store:
        times = zip(data.user.tolist(), data.item.tolist(), data.time.tolist(), strict=True)
        store.add_events([Event(f"u{user}", f"i{item}", time) for user, item, time in times])
        tally, codes = Tally.of(data, WINDOWS), np.arange(2, 7, dtype=np.int32)
        at = 200 * HOUR + 1  # after the last event, so that nothing is displaced within the hour
        for window in WINDOWS:
            since = 0 if window == EVER else at - window * HOUR
            expected = store.counts(since, at)
            found = tally.counts(codes, np.full(len(codes), at), window)
            assert found.tolist() == [expected.get(f"i{code}", 0) for code in codes.tolist()]


def test_a_snapshot_says_the_same_at_any_moment() -> None:
    snapshot = Snapshot({24: np.array([0.0, 0.0, 5.0, 7.0])})
    assert snapshot.counts(np.array([3, 2]), np.array([0, 10**15]), 24).tolist() == [7, 5]
