"""Times as they come over the wire and go out."""

from __future__ import annotations

import datetime as dt
import math

from tastemaker.errors import RequestError

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can say


def to_text(time: int) -> str:
    """RFC 3339 in UTC of µs since 1970."""
    return (_EPOCH + dt.timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


def to_micros(time: str | float | int, what: str = "timestamp") -> int:
    """µs since 1970 of RFC 3339 text with its offset, or of epoch seconds.

    Raises:
        RequestError: it is neither, or not a time between the years 1 and 9999 (code "bad_time").
    """
    if isinstance(time, str):
        try:
            moment = dt.datetime.fromisoformat(time)
        except ValueError:
            raise _bad(what, repr(time[:40])) from None
        if moment.tzinfo is None:
            raise _bad(what, f"{time[:40]!r}, which names no offset from UTC")
        return (moment - _EPOCH) // dt.timedelta(microseconds=1)
    if not math.isfinite(time) or abs(time) > _LAST:
        raise _bad(what, ascii(time)[:40])
    return round(time * 1_000_000)


def _bad(what: str, found: str) -> RequestError:
    return RequestError(
        f"{what} {found}",
        code="bad_time",
        expected="RFC 3339 like 2025-06-01T12:00:00Z, or seconds since 1970",
        hint="milliseconds are to be divided by 1000",
    )
