"""Errors as RFC 9457 problem bodies: one table says which error becomes which status and code.

| error | status | code | what the client may do |
|---|---|---|---|
| `Refused`, `RequestError`, `FilterError` | its own | its own | as its text says |
| `UnknownIdError` | 404 | unknown_id | |
| other `UserError` (config, data, artifact…) | 422 | config, data, artifact… | |
| body or query of another shape | 422 | invalid | mend the field in `errors[].path` |
| body is no JSON | 400 | malformed_json | |
| `OverloadError` | 503 | overload | wait `Retry-After` seconds |
| `StoreError` | 503 | store_unavailable | wait `Retry-After` seconds |
| time is up | 503 | deadline | wait `Retry-After` seconds |
| anything unforeseen | 500 | internal | say the `request_id` to whoever runs the service |
"""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec

from tastemaker import errors
from tastemaker.wire.bodies import Problem

MEDIA_TYPE = b"application/problem+json"

_CODES: dict[type[errors.TastemakerError], tuple[int, str]] = {
    errors.UnknownIdError: (404, "unknown_id"),
    errors.ConfigError: (422, "config"),
    errors.DataError: (422, "data"),
    errors.ArtifactError: (422, "artifact"),
    errors.MissingExtraError: (501, "missing_extra"),
    errors.OverloadError: (503, "overload"),
    errors.StoreError: (503, "store_unavailable"),
}


class Refused(errors.RequestError):
    """A request that HTTP alone suffices to refuse; `headers` go on the answer."""

    def __init__(
        self, found: str, *, code: str, status: int, headers: dict[str, str] | None = None, expected: str = "", hint: str = ""
    ) -> None:
        super().__init__(found, code=code, status=status, expected=expected, hint=hint)
        self.headers = headers or {}


def problem(error: BaseException, request_id: str | None = None) -> tuple[Problem, dict[str, str]]:
    """The body for an error, and the headers that go with it."""
    status, code, detail, headers, places = 500, "internal", "the request failed for a reason of the service's own", {}, []
    match error:
        case errors.RequestError():
            status, code, detail = error.status, error.code, str(error)
            headers = dict(getattr(error, "headers", {}))
        case errors.TastemakerError():
            status, code = next(
                (_CODES[kind] for kind in type(error).__mro__ if kind in _CODES),
                (422, "invalid") if isinstance(error, errors.UserError) else (500, "internal"),
            )
            # What a database says may name hosts and tables; whoever runs the service finds it in the log.
            detail = "the store cannot be reached now" if isinstance(error, errors.StoreError) else str(error)
            wait = getattr(error, "retry_after_seconds", 1.0) if status == 503 else 0
            headers = {"retry-after": str(max(1, math.ceil(wait)))} if wait else {}
        case msgspec.ValidationError():
            status, code, detail = 422, "invalid", str(error)
            text, _, path = detail.rpartition(" - at `")
            places = [{"path": path.rstrip("`"), "detail": text}] if text else [{"path": "$", "detail": detail}]
        case msgspec.DecodeError() | UnicodeError():
            status, code, detail = 400, "malformed_json", f"expected JSON in UTF-8; found {error}"
        case RecursionError():
            status, code, detail = 400, "too_deep", "the body is nested too deeply"
        case TimeoutError():
            status, code, detail = 503, "deadline", "the answer did not come in time"
            headers = {"retry-after": "1"}
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=places, request_id=request_id
    )
    return body, headers
