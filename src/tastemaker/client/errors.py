"""What a client raises.

```
TastemakerError
└── ServiceError              the service refused or did not answer; code, detail, status, request_id
    ├── InvalidError          400 409 413 415 422…  the request is at fault: mend it
    ├── NotAllowedError       401 403               the key is missing, revoked, or lacks a scope
    ├── NotFoundError         404                   nothing is known of an id
    ├── UnavailableError      429 503               still too much to do after all attempts
    ├── FailedError           other 5xx, or an answer that is none of the service's
    ├── ConnectionFailedError no answer came        (code "connection"); whether it had an effect is not known
    └── UndeliveredError      a buffer was closed with events that could not be sent; they are in `events`
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tastemaker.errors import TastemakerError
from tastemaker.wire.bodies import EventBody, Problem


class ServiceError(TastemakerError):
    """The service refused, or did not answer.

    `code` is short and stable, for programs; `detail` is for people; `request_id` finds the request in the service's log; `errors`
    says which fields are at fault.
    """

    def __init__(self, problem: Problem) -> None:
        who = f" (request {problem.request_id})" if problem.request_id else ""
        super().__init__(f"{problem.code}: {problem.detail}{who}")
        self.status, self.code, self.detail = problem.status, problem.code, problem.detail
        self.request_id, self.errors = problem.request_id, problem.errors


class InvalidError(ServiceError):
    """The request is at fault."""


class NotAllowedError(ServiceError):
    """The key is missing, revoked, or lacks a scope."""


class NotFoundError(ServiceError):
    """Nothing is known of an id, or there is no such path."""


class UnavailableError(ServiceError):
    """The service, or its store, had too much to do, at each attempt."""


class FailedError(ServiceError):
    """The service failed, or what answered is no Tastemaker service."""


class ConnectionFailedError(ServiceError):
    """No answer came: whether the request had an effect is not known."""

    def __init__(self, error: Exception) -> None:
        detail = f"no answer: {type(error).__name__}{f' ({error})' if str(error) else ''}"
        super().__init__(Problem(title="No answer", status=0, code="connection", detail=detail))


class UndeliveredError(ServiceError):
    """A buffer was closed with events that could not be sent: `events` holds them, to be kept or sent another time."""

    def __init__(self, events: Sequence[EventBody], cause: ServiceError | None) -> None:
        why = f"{cause.code}: {cause.detail}" if cause else "there was no time"
        super().__init__(
            Problem(title="Undelivered", status=0, code="undelivered", detail=f"{len(events)} events were not sent; {why}")
        )
        self.events = list(events)


_KINDS: dict[int, type[ServiceError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    429: UnavailableError,
    503: UnavailableError,
}


def refusal(status: int, headers: Mapping[str, str], content: bytes) -> ServiceError:
    """The error for an answer that is not 2xx, from its problem body if it has one."""
    try:
        problem = msgspec.json.decode(content, type=_Told).problem(status)
    except (msgspec.MsgspecError, UnicodeError):
        problem = Problem(title="", status=status, code=f"http_{status}", detail=f"status {status} without a problem body")
    problem.request_id = problem.request_id or headers.get("x-request-id")
    kind = _KINDS.get(status, InvalidError if 400 <= status < 500 else FailedError)
    return kind(problem)


class _Told(msgspec.Struct):
    """As much of a problem as a service of any version tells."""

    code: str
    detail: str = ""
    title: str = ""
    errors: list[dict[str, Any]] = []
    request_id: str | None = None

    def problem(self, status: int) -> Problem:
        return Problem(
            title=self.title, status=status, code=self.code, detail=self.detail, errors=self.errors, request_id=self.request_id
        )
