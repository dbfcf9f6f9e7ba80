"""A call and its way to an answer, without any network: what to send, when to wait, what the answer means.

`exchange` is a generator; a sender does what it yields and hands back what came of it, so the blocking and the asynchronous client
share all of it:

```
exchange ── Attempt ─▶ sender ─▶ network
         ◀─ Got or Exception ──
         ── Pause ───▶ sleeps
         ── return ──▶ the typed answer, or a ServiceError is raised
```
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import httpx
import msgspec

from tastemaker.client.errors import ConnectionFailedError, FailedError, NotFoundError, refusal
from tastemaker.client.retry import Retry, retry_after
from tastemaker.wire.bodies import Problem

T = TypeVar("T")

_REFUSED_UNTOUCHED = frozenset({"overload", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and the kind of its answer."""

    method: str
    path: str
    reply: Any
    """struct of the answer; None where there is none"""
    content: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"
    repeatable: bool = True
    """whether sending it twice has one effect, so that it may be sent again when no answer came"""
    accepts: tuple[int, ...] = ()
    """statuses beside 2xx whose body is an answer too"""


@dataclass(frozen=True, slots=True)
class Got:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """To be sent now; its network waits may last `timeout_seconds` each."""

    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """To be slept."""

    seconds: float


Step = Attempt | Pause
Outcome = Got | httpx.TransportError | None


def path(template: str, *ids: str) -> str:
    """A path with its ids filled in, percent-encoded: they may hold any character."""
    return template.format(*(quote(one, safe="") for one in ids))


def query(struct: msgspec.Struct) -> dict[str, str]:
    """A struct as parameters of an address; what is left at its default is left out."""
    return {name: _parameter(value) for name, value in msgspec.to_builtins(struct).items() if value is not None}


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def exchange(
    call: Call[T], retry: Retry, timeout_seconds: float, generator: random.Random, *, start: float, clock: Any = time.monotonic
) -> Generator[Step, Outcome, T]:
    """The way from a call to its answer.

    Tried again: 429 and 503 (after Retry-After), and a connection that failed, if the call may be repeated or never left.

    Args:
        call: what to ask.
        retry: how often and how long.
        timeout_seconds: of one network wait.
        generator: of the jitter.
        start: when the call began, on `clock`.
        clock: seconds.

    Raises:
        ServiceError: of the last attempt.
    """
    unsure = False
    """whether an attempt without an answer may have had its effect"""
    for attempt in range(1, retry.attempts + 1):
        left = retry.total_seconds - (clock() - start)
        outcome = yield Attempt(max(0.001, min(timeout_seconds, left)))
        if isinstance(outcome, Got):
            if 200 <= outcome.status < 300 or outcome.status in call.accepts:
                return _decoded(call, outcome)
            error = refusal(outcome.status, outcome.headers, outcome.content)
            if unsure and call.method == "DELETE" and call.reply is None and isinstance(error, NotFoundError):
                return cast(T, None)  # the attempt that was not answered has done it
            again = outcome.status == 429 or (outcome.status == 503 and (call.repeatable or error.code in _REFUSED_UNTOUCHED))
            asked = retry_after(outcome.headers.get("retry-after"), time.time())
        else:
            assert outcome is not None
            error, asked = ConnectionFailedError(outcome), None
            never_left = isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            unsure = unsure or not never_left
            again = call.repeatable or never_left
            if isinstance(outcome, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
                again = False
        wait = retry.wait(attempt, asked, generator)
        if not again or attempt == retry.attempts or clock() - start + wait >= retry.total_seconds:
            raise error
        yield Pause(wait)
    raise AssertionError("unreachable: attempts ≥ 1")


def _decoded(call: Call[T], got: Got) -> T:
    if call.reply is None:
        return cast(T, None)
    if call.reply is bytes:
        return cast(T, got.content)
    try:
        return cast(T, msgspec.json.decode(got.content, type=call.reply))
    except (msgspec.MsgspecError, UnicodeError) as error:
        detail = f"an answer of another shape: {error}"
        raise FailedError(
            Problem(
                title="", status=got.status, code="bad_answer", detail=detail, request_id=got.headers.get("x-request-id")
            )
        ) from None
