"""How long a client waits."""

from __future__ import annotations

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.client.retry import Retry, retry_after


@given(st.integers(1, 40), st.integers(0, 2**32), st.none() | st.floats(0, 100))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_the_backoff_allows(
    attempt: int, seed: int, asked: float | None
) -> None:
    retry = Retry(base_seconds=0.1, most_seconds=5.0)
    wait = retry.wait(attempt, asked, random.Random(seed))
    assert (asked or 0) <= wait <= (asked or 0) + min(5.0, 0.1 * 2 ** (attempt - 1))


def test_waits_are_spread_over_all_of_the_time() -> None:
    generator = random.Random(0)
    waits = [Retry(base_seconds=1.0).wait(3, None, generator) for _ in range(2000)]
    assert min(waits) < 0.1 and max(waits) > 3.9 and abs(sum(waits) / 2000 - 2.0) < 0.15


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("7", 7.0), ("soon", None), (formatdate(1000, usegmt=True), 10.0), (formatdate(0), 0.0)],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=990.0) == seconds
