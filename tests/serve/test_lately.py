"""Lately: made once for all who ask within the time, anew after it, and a failure is not held."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from tastemaker.serve.lately import Lately


def test_it_is_made_anew_when_it_is_too_old() -> None:
    now, made = [0.0], []
    held = Lately[int](5.0, lambda: now[0])

    def make() -> int:
        made.append(now[0])
        return len(made)

    for now[0], expected in ((0.0, 1), (4.9, 1), (5.0, 2), (9.9, 2), (10.0, 3)):
        assert held.get(make) == expected


def test_twenty_who_ask_at_once_have_it_made_once() -> None:
    made: list[int] = []

    def make() -> int:
        sleep(0.05)
        made.append(1)
        return len(made)

    held = Lately[int](60.0)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: held.get(make), range(20))) == {1}
    assert made == [1]


def test_a_failure_is_not_held() -> None:
    held = Lately[int](60.0)
    with pytest.raises(ZeroDivisionError):
        held.get(lambda: 1 // 0)
    assert held.get(lambda: 2) == 2
