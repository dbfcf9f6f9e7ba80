"""Settings that nobody gave follow the data."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.data.habits import sparse_dropout, usual_length
from tastemaker.data.interactions import Interactions


def _events(users, items):
    size = len(users)
    return Interactions(
        user=np.asarray(users, np.int32),
        item=np.asarray(items, np.int32),
        time=np.zeros(size, np.int64),
        value=np.ones(size, np.float32),
        kind=np.zeros(size, np.int8),
        side=np.full(size, -1, np.int8),
        kinds=("event",),
        kind_weights=(1.0,),
    )


def test_one_user_in_twenty_may_be_longer_than_is_usual():
    lengths = [30] * 19 + [500]
    users = np.repeat(np.arange(2, 22), lengths)
    assert 30 <= usual_length(_events(users, users)) < 60
    assert usual_length(_events(users, users), most=20) == 20
    assert usual_length(_events([], []), least=7) == 7


@given(st.integers(1, 200))
def test_dropout_falls_as_items_have_more_events(per_item):
    fewer, more = (sparse_dropout(_events(np.zeros(2 * n), np.repeat([2, 3], n))) for n in (per_item, per_item + 1))
    assert 0.1 <= more <= fewer <= 0.5
    assert fewer == (0.5 if per_item <= 16 else 0.1 if per_item >= 100 else fewer)
