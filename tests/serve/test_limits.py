"""Rate of a key, and threads for what blocks."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import OverloadError, StoreError
from tastemaker.serve.limits import Buckets, Threads
from tastemaker.serve.problems import Refused


@given(st.floats(0.1, 50), st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_a_key_never_gets_more_than_its_rate_and_one_second_ahead(rate: float, pauses: list[float]) -> None:
    now = 0.0
    buckets = Buckets(rate, clock=lambda: now)
    taken, refused = 0, []
    for pause in pauses:
        now += pause
        try:
            buckets.take("key")
            taken += 1
        except Refused as error:
            refused.append((error.status, int(error.headers["retry-after"]) >= 1))
    assert set(refused) <= {(429, True)}
    assert taken <= max(rate, 1) + now * rate + 1e-6
    assert taken >= 1


def test_keys_do_not_share_a_bucket() -> None:
    buckets = Buckets(1, clock=lambda: 0.0)
    buckets.take("a")
    buckets.take("b")
    with pytest.raises(Refused):
        buckets.take("a")


def test_calls_beyond_the_queue_are_refused_and_room_comes_back() -> None:
    async def work() -> None:
        threads, gate = Threads("test", workers=1, waiting=1), threading.Event()
        first, second = asyncio.create_task(threads.run(gate.wait)), asyncio.create_task(threads.run(lambda: 2))
        await asyncio.sleep(0)
        with pytest.raises(OverloadError):
            await threads.run(lambda: 3)
        first.cancel()  # who waits may leave; the thread is still taken
        await asyncio.sleep(0)
        with pytest.raises(OverloadError):
            await threads.run(lambda: 3)
        gate.set()
        assert await second == 2
        assert await threads.run(lambda: 4) == 4
        assert threads.busy == 0
        threads.close()

    asyncio.run(work())


def test_what_a_call_raises_reaches_whoever_asked() -> None:
    async def work() -> None:
        threads = Threads("test", workers=1, waiting=1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        threads.close()

    asyncio.run(work())


def test_while_the_first_call_waits_too_long_no_other_is_taken_in() -> None:
    async def work() -> None:
        threads, gate = Threads("test", workers=1, waiting=10, patience_seconds=0.03), threading.Event()
        first, second = asyncio.create_task(threads.run(gate.wait)), asyncio.create_task(threads.run(lambda: 2))
        await asyncio.sleep(0)
        assert not threads.full
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadError):
            await threads.run(lambda: 3)
        gate.set()
        assert (await first, await second) == (True, 2)
        assert await threads.run(lambda: 4) == 4
        threads.close()

    asyncio.run(work())


def test_who_waits_beyond_the_budget_is_told_and_the_thread_stays_taken() -> None:
    async def work() -> None:
        threads, gate = Threads("test", workers=1, waiting=0, budget_seconds=0.05), threading.Event()
        with pytest.raises(StoreError):
            await threads.run(gate.wait)
        with pytest.raises(OverloadError):
            await threads.run(lambda: 1)
        gate.set()
        while threads.busy:
            await asyncio.sleep(0.001)
        assert await threads.run_long(lambda: time.sleep(0.1) or 2) == 2
        threads.close()

    asyncio.run(work())
