"""What keeps one client, or all of them together, from taking more than there is."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from tastemaker.errors import OverloadError, StoreError
from tastemaker.serve.problems import Refused

T = TypeVar("T")


class Buckets:
    """A token bucket for each key: `rate` requests a second, `rate` at once at most (one second saved up)."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, max(rate, 1.0), clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """Counts a request. Raises Refused (429, Retry-After) when the bucket is empty."""
        now = self._clock()
        level, then = self._buckets.get(key_id, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        if level < 1:
            wait = max(1, round((1 - level) / self._rate))
            raise Refused(
                f"more than {self._rate:g} requests a second with this key",
                code="rate_limited",
                status=429,
                headers={"retry-after": str(wait)},
            )
        self._buckets[key_id] = (level - 1, now)


class Threads:
    """Threads for calls that block: `workers` run, `waiting` more may queue, the rest is refused at once."""

    def __init__(
        self, name: str, workers: int, waiting: int, *, patience_seconds: float = math.inf, budget_seconds: float | None = None
    ) -> None:
        """While the first that waits has done so for longer than `patience_seconds`, nobody else is taken in.

        Nobody is kept waiting for longer than `budget_seconds`; None: as long as it takes.
        """
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._name, self._limit, self._patience, self._budget = name, workers + waiting, patience_seconds, budget_seconds
        self._arrived: deque[float] = deque()
        self.busy = 0
        """calls running or waiting"""

    @property
    def full(self) -> bool:
        """Whether whoever comes now is refused."""
        if self.busy >= self._limit:
            return True
        try:
            return time.monotonic() - self._arrived[0] > self._patience
        except IndexError:  # nobody waits
            return False

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What `function` returns. A caller that stops waiting does not stop it.

        Raises:
            OverloadError: the queue is full.
            StoreError: it did not return within the budget; what it does may still come about.
        """
        if self._budget is None:
            return await self.run_long(function, *arguments)
        try:
            async with asyncio.timeout(self._budget) as limit:
                return await self.run_long(function, *arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise StoreError(f"no answer in {self._budget:g} s", expected="a store that answers in time") from None

    async def run_long(self, function: Callable[..., T], *arguments: object) -> T:
        """As `run`, for what may take as long as it takes."""
        if self.full:
            raise OverloadError(f"{self.busy} requests wait for {self._name} threads")
        self.busy += 1
        self._arrived.append(time.monotonic())
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        # A third of the way that run_in_executor takes, which chains two futures and copies between them.
        self._pool.submit(self._call, loop, answer, function, arguments)
        return await answer

    def _call(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: asyncio.Future[T],
        function: Callable[..., T],
        arguments: tuple[object, ...],
    ) -> None:
        settle: Callable[[], None]
        self._arrived.popleft()
        try:
            settle = partial(answer.set_result, function(*arguments))
        except BaseException as error:
            settle = partial(answer.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._done, answer, settle)

    def _done(self, answer: asyncio.Future[T], settle: Callable[[], None]) -> None:
        self.busy -= 1
        if not answer.done():  # else who asked has left
            settle()

    def close(self) -> None:
        """Waits for calls that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)
