"""Batcher: requests that come while the worker is busy wait together and become one call; a request alone does not wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tastemaker.errors import OverloadError, RequestError
from tastemaker.serve.asks import Ask
from tastemaker.serve.service import Service
from tastemaker.wire.bodies import Answer, Recommend


class Batcher:
    """One worker thread over a bounded queue; used from one event loop."""

    def __init__(self, service: Service) -> None:
        """Takes `max_batch`, `queue` and `deadline_ms` from the service's settings."""
        self._service = service
        self._waiting: deque[tuple[Ask, asyncio.Future[Answer]]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="recommend")
        self._busy = False
        self._running = 0
        self._seconds_each = 0.002
        self._closed = False
        self.on_batch: Callable[[int], None] | None = None
        """told the size of each call"""

    @property
    def depth(self) -> int:
        """Requests that wait or are being answered."""
        return len(self._waiting) + self._running

    @property
    def full(self) -> bool:
        """Whether whoever comes now is refused: the queue has its length, or its head has waited longer than `patience_ms`."""
        waiting, settings = self._waiting, self._service.settings
        if self._closed or len(waiting) >= settings.queue:
            return True
        return bool(waiting) and time.perf_counter() - (waiting[0][0].arrived or 0.0) > settings.patience_ms / 1000

    async def submit(self, request: Recommend, *, record: bool = True) -> Answer:
        """The answer to a request.

        Raises:
            RequestError: it cannot be answered as asked.
            OverloadError: the queue is full, or so long that the request's deadline would pass in it.
        """
        return await self.ask(Ask(request, record=record))

    async def ask(self, ask: Ask) -> Answer:
        """As `submit`, for the next page of an answer too."""
        settings = self._service.settings
        deadline = settings.deadline_ms if ask.request.deadline_ms is None else ask.request.deadline_ms
        wait = self.depth * self._seconds_each
        if self.full or (self._busy and wait > deadline / 1000):
            raise OverloadError(
                f"{self.depth} requests are before this one",
                expected=f"at most {settings.queue}, and an answer within {deadline:.0f} ms",
                retry_after_seconds=max(1.0, wait),
            )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((replace(ask, arrived=time.perf_counter()), future))
        self._start()
        return await future

    async def close(self) -> None:
        """Answers what waits, takes nothing more, and stops the worker."""
        self._closed = True
        while self._busy or self._waiting:
            await asyncio.sleep(0.01)
        self._worker.shutdown(wait=True)

    def _start(self) -> None:
        if self._busy:
            return
        batch: list[tuple[Ask, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._service.settings.max_batch:
            ask, future = self._waiting.popleft()
            if not future.done():  # who asked may have gone
                batch.append((ask, future))
        if not batch:
            return
        self._busy, self._running = True, len(batch)
        started = time.perf_counter()
        if self.on_batch is not None:
            self.on_batch(len(batch))
        call = asyncio.get_running_loop().run_in_executor(self._worker, self._service.answer, [ask for ask, _ in batch])
        call.add_done_callback(lambda done: self._finish(done, [future for _, future in batch], started))

    def _finish(
        self, done: asyncio.Future[list[Answer | RequestError]], futures: list[asyncio.Future[Answer]], started: float
    ) -> None:
        self._busy, self._running = False, 0
        self._seconds_each += ((time.perf_counter() - started) / len(futures) - self._seconds_each) * 0.1
        error = done.exception()
        answers: list[Answer | RequestError | BaseException] = [error] * len(futures) if error else list(done.result())
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._start()
