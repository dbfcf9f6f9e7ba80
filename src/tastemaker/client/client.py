"""The clients: two ways to send what `call.exchange` says."""

from __future__ import annotations

import asyncio
import random
import time
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from tastemaker import __version__
from tastemaker.client.call import Attempt, Call, Got, Outcome, exchange
from tastemaker.client.retry import Retry
from tastemaker.client.verbs import Verbs

T = TypeVar("T")


class _Sender(Verbs):
    """What both clients hold."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        user_token: str | None = None,
        timeout_seconds: float = 10.0,
        retry: Retry | None = None,
        generator: random.Random | None = None,
        transport: Any = None,
    ) -> None:
        """A client of the service at `url`; nothing is sent yet.

        Args:
            url: of the service, without `/v1`.
            key: secret of a key; None for an open service.
            user_token: what a browser key speaks for a user with.
            timeout_seconds: of each network wait: to connect, to send, to hear of an answer.
            retry: how often and how long; None takes the defaults.
            generator: of the jitter; None: seeded by the system.
            transport: httpx's, for proxies, unix sockets or certificates of your own.
        """
        self.url = url.rstrip("/")
        self._retry, self._timeout = retry or Retry(), timeout_seconds
        self._generator = generator or random.Random()
        headers = {"user-agent": f"tastemaker-python/{__version__}", "accept": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        if user_token is not None:
            headers["x-user-token"] = user_token
        self._options: dict[str, Any] = {"base_url": self.url, "headers": headers, "transport": transport}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _exchange(self, call: Call[T]) -> Any:
        return exchange(call, self._retry, self._timeout, self._generator, start=time.monotonic())

    @staticmethod
    def _request(call: Call[Any], attempt: Attempt) -> dict[str, Any]:
        headers = {"content-type": call.media} if call.content else {}
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,
            "content": call.content or None,
            "headers": headers,
            "timeout": attempt.timeout_seconds,
        }


class Client(_Sender):
    """Asks the service and waits for the answer; may be used from several threads.

    Every verb raises `ServiceError`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = httpx.Client(**self._options)

    def send(self, call: Call[T]) -> T:
        """The answer to a call, after as many attempts as it takes."""
        steps = self._exchange(call)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: T = done.value
                return answer
            outcome = None
            if isinstance(step, Attempt):
                try:
                    got = self._http.request(**self._request(call, step))
                    outcome = Got(got.status_code, got.headers, got.content)
                except httpx.TransportError as error:
                    outcome = error
            else:
                time.sleep(step.seconds)

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient(_Sender):
    """The same verbs, to be awaited; for one event loop."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = httpx.AsyncClient(**self._options)

    async def send(self, call: Call[T]) -> T:
        """The answer to a call, after as many attempts as it takes."""
        steps = self._exchange(call)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                answer: T = done.value
                return answer
            outcome = None
            if isinstance(step, Attempt):
                try:
                    got = await self._http.request(**self._request(call, step))
                    outcome = Got(got.status_code, got.headers, got.content)
                except httpx.TransportError as error:
                    outcome = error
            else:
                await asyncio.sleep(step.seconds)

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
