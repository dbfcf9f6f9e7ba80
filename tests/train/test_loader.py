"""Batches hold every example once, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.interactions import Interactions
from tastemaker.train.loader import Baskets, Pairs


def _rows(users, seed):
    user = np.sort(np.asarray(users, np.int32))
    n = len(user)
    item = np.random.default_rng(seed).integers(2, 9, n).astype(np.int32)
    return Interactions(user, item, np.arange(n), np.ones(n, np.float32), np.zeros(n, np.int8), np.full(n, -1, np.int8))


@pytest.mark.parametrize("loader", ["pairs", "baskets"])
@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(2, 11), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 99))
def test_an_epoch_holds_every_pair_once_in_an_order_of_its_own(loader, users, batch, seed):
    data = _rows(users, seed)
    source = Pairs(data) if loader == "pairs" else Baskets(data, num_users=12)
    assert source.num_targets == len(data)
    met = []
    for one in source.epoch(3, seed, batch):
        rows = np.arange(len(one.targets)) if one.rows is None else one.rows.numpy()
        met += list(zip(one.query.users.numpy()[rows].tolist(), one.targets.tolist(), strict=True))
        assert len(np.unique(rows)) == len(one.query)
    assert sorted(met) == sorted(zip(data.user.tolist(), data.item.tolist(), strict=True))
