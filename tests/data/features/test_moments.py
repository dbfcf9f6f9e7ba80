"""Rows of moments: right by hand, the same made either way, and nothing in them later than the moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Asked, Moments, MomentsConfig
from tastemaker.data.features.popularity import EVER, Tally
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.vocabulary import Vocabulary

SECOND = 1_000_000
HOUR = 3_600 * SECOND


def interactions(rows: list[tuple[int, int, int]]) -> Interactions:
    """From (user, item, µs), sorted by user and time."""
    user, item, time = (np.array(column) for column in zip(*sorted(rows, key=lambda row: (row[0], row[2])), strict=True))
    zeros = np.zeros(len(rows), np.int8)
    return Interactions(
        user.astype(np.int32), item.astype(np.int32), time.astype(np.int64), np.ones(len(rows), np.float32), zeros, zeros - 1
    )


CATALOGUE = pa.table(
    {"colour": ["red", "red", "blue", None], "tags": [["a", "b"], ["a"], ["c"], []], "price": [1.0, 3.0, 8.0, None]}
)
PROFILES = pa.table({"age": [20, 60, 45], "city": ["Rome", None, "Oslo"]})
EVENTS = interactions([(2, 2, 1 * HOUR), (2, 3, 2 * HOUR), (2, 2, 3 * HOUR), (3, 4, 2 * HOUR), (4, 5, 9 * HOUR)])


def moments(**settings: object) -> Moments:
    return Moments(
        MomentsConfig.parse(settings),
        Vocabulary(["p", "q", "r", "s"]),
        CATALOGUE,
        Vocabulary(["u", "v", "w"]),
        PROFILES,
        Tally.of(EVENTS, (1, 24, 168, EVER)),
        ("ease",),
    )


def asked() -> Asked:
    """User u (codes p q p), nobody in particular, and w (code r, and an item that nobody knows)."""
    histories = Histories(
        np.array([2, 3, 2, 4, 1], np.int32),
        np.array([1, 2, 3, 1, 2], np.int64) * HOUR,
        np.ones(5, np.float32),
        np.array([0, 3, 3, 5]),
    )
    return Asked(
        np.array([2, 1, 4], np.int32),
        np.array([4, 5, 6], np.int64) * HOUR,
        histories,
        np.array([2, 3, 4, 5, 2, 5, 4], np.int32),
        np.array([0, 0, 0, 0, 1, 1, 2]),
        {"ease": np.arange(7, dtype=np.float32)},
    )


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal, NaN to NaN."""
    return repr(one.to_pydict()) == repr(other.to_pydict())


def test_what_is_known_of_the_two_of_them() -> None:
    table = moments().table(asked())
    assert table["met"].to_pylist() == [2, 1, 0, 0, 0, 0, 1]
    assert table["since_met"].to_pylist()[:2] == [3_600, 7_200]
    assert np.isnan(table["since_met"].to_numpy()[2:6]).all() and table["since_met"][6].as_py() == 5 * 3_600
    # u's events are red, red, red; a and b in two of three, a in one more
    assert table["like.colour"].to_pylist()[:3] == [1, 1, 0]
    assert np.isnan(table["like.colour"].to_numpy()[3:6]).all()  # s has no colour, nobody has no events
    assert table["like.tags"].to_pylist()[:3] == pytest.approx([(3 / 3 + 2 / 3) / 2, 1, 0])
    assert table["like.tags"][6].as_py() == 0.5  # one of w's two events is of something unknown
    assert table["ratio.price"].to_pylist()[:3] == pytest.approx([1 / (5 / 3), 3 / (5 / 3), 8 / (5 / 3)])
    assert table["ratio.price"][6].as_py() == 1  # 8 over the one price that is known


def test_what_is_known_of_request_and_item() -> None:
    table = moments(user_id=True).table(asked())
    assert table["item"].to_pylist() == ["p", "q", "r", "s", "p", "s", "r"]
    assert table["item.price"].to_pylist() == [1, 3, 8, None, 1, None, 8]
    assert table["user"].to_pylist() == ["u"] * 4 + [None] * 2 + ["w"]
    assert table["user.city"].to_pylist() == ["Rome"] * 4 + [None] * 2 + ["Oslo"]
    assert table["history"].to_pylist()[0] == ["p", "q", "p"] and table["history"].to_pylist()[4] == []
    assert table["events"].to_pylist() == [3] * 4 + [0] * 2 + [2]
    assert table["since_last"][0].as_py() == 3_600 and np.isnan(table["since_last"][4].as_py())
    assert table["popularity.24h"].to_pylist()[:4] == [2, 1, 1, 0]
    assert table["score.ease"].to_pylist() == list(range(7))


@pytest.mark.parametrize(
    ("crosses", "leave_out"),
    [
        ((), ()),
        ((), ("item",)),
        ((("user.city", "item.colour"),), ("item",)),
        ((("item.colour", "item"), ("user", "item.colour")), ("item.tags", "user.age", "history")),
    ],
)
def test_features_are_the_table_encoded(crosses: tuple[tuple[str, str], ...], leave_out: tuple[str, ...]) -> None:
    made, rows = moments(user_id=True), asked()
    wish = FeaturesConfig.parse({"crosses": crosses, "leave_out": leave_out})
    encoder = FeatureEncoder.fit(made.table(rows), made.settled(wish))
    one, other = made.features(rows, encoder), encoder.encode(made.table(rows))
    assert one.codes.dtype == other.codes.dtype and np.array_equal(one.codes, other.codes)
    assert one.numbers.dtype == other.numbers.dtype and np.array_equal(one.numbers, other.numbers, equal_nan=True)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one.vectors, other.vectors, strict=True))
    for mine, theirs in zip(one.bags, other.bags, strict=True):
        assert np.array_equal(mine.codes, theirs.codes) and np.array_equal(mine.offsets, theirs.offsets)


def test_later_events_change_nothing() -> None:
    late = interactions([*zip(EVENTS.user.tolist(), EVENTS.item.tolist(), EVENTS.time.tolist(), strict=True), (3, 2, 7 * HOUR)])
    made = moments()
    again = made.with_popularity(Tally.of(late, (1, 24, 168, EVER)))
    rows = replace(asked(), at=np.full(3, 6 * HOUR))
    assert same(made.table(rows), again.table(rows))
    assert made is not again


def test_nobody_is_asked() -> None:
    empty = asked().take(np.zeros(0, np.int64))
    assert moments().table(empty).num_rows == 0


def test_requests_are_joined_in_order() -> None:
    one = asked()
    both = Asked.joined([one, one])
    table, twice = moments().table(one), moments().table(both)
    assert same(twice.slice(0, 7), table) and same(twice.slice(7), table)
