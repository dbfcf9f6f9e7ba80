"""Intervals of shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.evaluate.shares import wilson


def test_wilson_as_in_the_textbook() -> None:
    assert wilson(15, 50) == pytest.approx((0.1910, 0.4375), abs=2e-4)  # Newcombe 1998, table I
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=2e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000), st.data())
def test_the_share_lies_within_and_more_trials_narrow_it(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = wilson(hits, trials)
    assert 0 <= low <= hits / trials + 1e-12 and hits / trials - 1e-12 <= high <= 1
    more = wilson(4 * hits, 4 * trials)
    assert more[1] - more[0] < high - low
