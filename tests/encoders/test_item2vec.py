from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.item2vec import Item2Vec

ITEMS = pa.table({"": np.zeros(12)}).select([])


def baskets(times: bool) -> Interactions:
    """Users buy sets of the even ones, then sets of the odd ones; item 11 has one event."""
    rng = np.random.default_rng(0)
    rows = [[*(rng.permutation(5)[:3] * 2), *(rng.permutation(5)[:3] * 2 + 1)] for _ in range(150)]
    items = np.array([*[place for row in rows for place in row], 11], np.int32) + 2
    count = len(items)
    users = np.append(np.repeat(np.arange(2, 152), 6), 152).astype(np.int32)
    return Interactions(
        user=users,
        item=items,
        time=(np.arange(count) // 3 + 1) * int(times),
        value=np.ones(count, np.float32),
        kind=np.zeros(count, np.int8),
        side=np.full(count, -1, np.int8),
    )


def likeness(train: Interactions, **settings: object) -> np.ndarray:
    encoder = Item2Vec(Item2Vec.Config.parse({"dim": 16, **settings}))
    encoder.fit(ITEMS, train)
    values = encoder.encode(ITEMS).values[:10]
    return values @ values.T


SAME = np.arange(10)[:, None] % 2 == np.arange(10) % 2


def test_what_is_bought_together_is_near() -> None:
    found = likeness(baskets(times=True), unit="basket")
    assert found[SAME].min() > 0.5 > found[~SAME].max()


def test_a_basket_is_what_one_user_did_at_one_moment() -> None:
    together = likeness(baskets(times=False), unit="basket")  # no times: all of a user's is one
    assert abs(together[SAME].mean() - together[~SAME].mean()) < 0.3
    one_moment = replace(baskets(times=True), time=np.full(901, 7, np.int64))
    np.testing.assert_array_equal(likeness(one_moment, unit="basket"), together)


def test_in_a_history_neighbours_count() -> None:
    found = likeness(baskets(times=True), window=1)
    assert found[SAME].mean() > found[~SAME].mean() + 0.3


@pytest.mark.parametrize(("least", "there"), [(1, [10]), (2, [10, 11])])
def test_items_with_too_few_events_and_later_ones_are_not_there(least: int, there: list[int]) -> None:
    encoder = Item2Vec(Item2Vec.Config(min_events=least))
    encoder.fit(ITEMS, baskets(times=True))
    found = encoder.encode(pa.table({"": np.zeros(15)}).select([]))
    assert np.flatnonzero(~found.present).tolist() == [*there, 12, 13, 14]
