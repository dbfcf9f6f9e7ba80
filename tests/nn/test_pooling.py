"""Means of a row and of its others, against a loop over the rows."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.interactions import Histories
from tastemaker.models.base import Query
from tastemaker.nn.pooling import mean_of_all, mean_of_others

histories = st.lists(st.lists(st.integers(2, 9), max_size=8), min_size=1, max_size=6)


@settings(deadline=None)
@given(histories, st.integers(0, 99))
def test_the_mean_of_others_knows_no_copy_of_the_item_itself(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    table, worth = torch.randn(10, 3, generator=generator), torch.rand(10, generator=generator) + 0.5
    query = Query.of(np.ones(len(rows)), Histories.of(rows))
    vectors, weights, shares = table[query.items], worth[query.items], query.shares(10)
    found, others = mean_of_others(vectors, weights, shares, query.rows, len(rows))
    whole = mean_of_all(vectors, weights * shares, query.rows, len(rows))
    place = 0
    for row, items in enumerate(rows):
        distinct = sorted(set(items))
        if items:
            expected = (table[distinct] * worth[distinct, None]).sum(0) / worth[distinct].sum()
            torch.testing.assert_close(whole[row], expected, rtol=1e-4, atol=1e-5)
        else:
            assert not whole[row].any()
        for item in items:
            rest = [one for one in distinct if one != item]
            assert bool(others[place]) == bool(rest)
            expected = (table[rest] * worth[rest, None]).sum(0) / worth[rest].sum() if rest else torch.zeros(3)
            torch.testing.assert_close(found[place], expected, rtol=1e-3, atol=1e-4)
            place += 1
