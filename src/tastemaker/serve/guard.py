"""A budget for every question to the store: what is slow or gone costs a request its budget once, not each request each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from tastemaker.errors import StoreError, UserError
from tastemaker.log import logger

T = TypeVar("T")


class Guard:
    """Asks with a limit of time; after a failure everybody is refused at once for a pause, then one question probes again."""

    def __init__(self, *, pause_seconds: float, workers: int = 4) -> None:
        """`workers` questions may hang at most; they are threads that wait, and cost nothing else."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="store-reader")
        self._pause = pause_seconds
        self._closed_until = 0.0

    @property
    def open(self) -> bool:
        """Whether the store answered when it was last asked, or may be asked again."""
        return time.monotonic() >= self._closed_until

    def ask(self, question: Callable[[], T], budget_seconds: float) -> T:
        """The answer to `question`.

        Raises:
            StoreError: it failed, took longer than the budget, or the store is being left alone.
        """
        if not self.open:
            raise StoreError("the store failed a moment ago", expected="a store that answers")
        try:
            future = self._pool.submit(question)
        except RuntimeError as error:
            raise StoreError("the service is closed", expected="an open service") from error
        try:
            return future.result(timeout=max(budget_seconds, 0.0))
        except FutureTimeout:
            future.cancel()
            self._pause_after("took too long")
            raise StoreError(f"no answer in {budget_seconds:.3f} s", expected="a store that answers in time") from None
        except UserError:
            raise
        except Exception as error:
            self._pause_after(type(error).__name__)  # a message may hold ids of users
            raise error if isinstance(error, StoreError) else StoreError(f"the store failed: {error}") from error

    def close(self) -> None:
        """Lets waiting threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pause_after(self, reason: str) -> None:
        if self.open:
            logger.warning("store left alone for %.1f s: %s", self._pause, reason)
        self._closed_until = time.monotonic() + self._pause
