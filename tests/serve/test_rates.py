"""Rates of the last minutes, against NumPy on all that was counted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.serve.rates import SECONDS, Rates, percentiles, totals


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0.05, 30_000), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_its_bucket(taken: list[float], share: float) -> None:
    clock = Clock()
    rates = Rates(clock)
    for one in taken:
        rates.request(one / 1000, 200, listed=True)
    clock.now += 1
    found = percentiles(rates.last(60), [share])[0]
    right = float(np.quantile(taken, share, method="inverted_cdf"))
    assert found is not None and abs(found - right) <= 0.026 * right + 0.002


@given(st.lists(st.integers(0, 3 * SECONDS), min_size=1, max_size=50))
def test_what_is_too_long_ago_is_forgotten_and_the_second_under_way_not_told(moments: list[int]) -> None:
    clock = Clock()
    rates = Rates(clock)
    for moment in sorted(moments):
        clock.now = 5000.0 + moment
        rates.count("accepted", 2)
    now = 5000 + max(moments)
    expected = 2 * sum(now - 60 <= 5000 + moment < now for moment in moments)
    assert totals(rates.last(60))["accepted"] == expected
    assert [one.at for one in rates.last(SECONDS)] == sorted({5000 + m for m in moments if now - SECONDS < 5000 + m < now})


def test_without_requests_there_is_no_percentile() -> None:
    assert percentiles([], [0.5, 0.99]) == [None, None]


def test_failed_ones_and_lists_are_told_apart() -> None:
    clock = Clock()
    rates = Rates(clock)
    rates.request(0.001, 200, listed=True)
    rates.request(0.001, 503, listed=False)
    clock.now += 1
    assert totals(rates.last(5)) == {"requests": 2, "failed": 1, "lists": 1}
