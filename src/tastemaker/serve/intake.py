"""Feedback: what is sent becomes events, or is refused with a code and a reason; it never raises.

| code | refused because |
|---|---|
| malformed | it is no object, or a field has another type |
| missing_field, unknown_field | as it says |
| no_user | neither `user_id` nor `anonymous_id`, or both |
| bad_id, id_too_long | an id is empty, no UTF-8, holds a zero byte, or has more than 256 bytes |
| bad_type | the type is no short name: a letter, then letters, digits, `_`, `.` or `-`, 64 at most |
| not_finite | the value is NaN or infinite |
| bad_position | the rank is not 1 … 100 000 |
| bad_time | neither RFC 3339 nor epoch seconds |
| too_old, too_new | before 1990, or more than a day ahead of this machine's clock |
| bad_text, too_large | context and properties are no text that can be kept, or larger than 16 kB |

An event of an `anonymous_id` belongs to the user `anon:` + that id: ask for lists with that user id, and merge it into the known user
when the visitor signs in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tastemaker.errors import RequestError
from tastemaker.serve.ids import checked
from tastemaker.serve.times import to_micros
from tastemaker.store.base import Event, Rejected
from tastemaker.wire.bodies import EventBody

ANONYMOUS = "anon:"
"""Prefix of the user ids of anonymous visitors."""
EARLIEST = 631_152_000_000_000
"""1990-01-01 in µs: what is older was no event on a screen but a clock that was not set."""
AHEAD = 86_400_000_000
"""A day in µs: how far a sender's clock may be ahead."""
MAX_EXTRA_BYTES = 16_384
"""Context, properties and impressions of one event together, as JSON."""

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_FIELD = re.compile(r"`\$\.(\w+)")
_RAW_TEXT = 2000


def check(sent: Sequence[Any], now: int) -> tuple[list[Event], list[Rejected]]:
    """The events of a batch, and what is refused of it.

    Args:
        sent: `EventBody`s, or objects as JSON gave them.
        now: µs; the time of events that name none.
    """
    events, rejected = [], []
    for index, one in enumerate(sent):
        try:
            events.append(_event(one if isinstance(one, EventBody) else _body(one), now))
        except RequestError as error:
            rejected.append(Rejected(index, error.code, str(error), _plain(one)))
    return events, rejected


def _body(sent: Any) -> EventBody:
    try:
        return msgspec.convert(sent, EventBody)
    except msgspec.ValidationError as error:
        raise _coded(str(error)) from None
    except (OverflowError, RecursionError, UnicodeError, ValueError, TypeError) as error:
        raise RequestError(f"{type(error).__name__} while it was read", code="malformed", expected="an event") from None


def _coded(message: str) -> RequestError:
    field = match.group(1) if (match := _FIELD.search(message)) else ""
    if "missing required" in message:
        code = "missing_field"
    elif "unknown field" in message:
        code = "unknown_field"
    elif field == "value" and "float" in message and "got" not in message:
        code = "not_finite"
    elif field == "position" and "int" in message and "got" not in message:
        code = "bad_position"
    elif field == "type" and "got" not in message:
        code = "bad_type"
    elif "length <=" in message and (field.endswith("_id") or field == "impressions"):
        code = "id_too_long"
    elif "length >=" in message:
        code = "bad_id"
    else:
        code = "malformed"
    return RequestError(message[:200], code=code, expected="an event as documented")


def _event(body: EventBody, now: int) -> Event:
    if (body.user_id is None) == (body.anonymous_id is None):
        found = "neither" if body.user_id is None else "both"
        raise RequestError(f"{found} of user_id and anonymous_id", code="no_user", expected="one of them")
    user = body.user_id if body.anonymous_id is None else f"{ANONYMOUS}{body.anonymous_id}"
    value, kind, position = body.value, body.type, body.position
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise RequestError(f"type {ascii(kind)[:80]}", code="bad_type", expected="a short name such as view or add_to_cart")
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f"value {ascii(value)[:40]}", code="not_finite", expected="a finite number")
    if position is not None and not 1 <= position <= 100_000:
        raise RequestError(f"position {position}", code="bad_position", expected="a rank 1 … 100000")
    return Event(
        checked(user, "user_id"),
        checked(body.item_id, "item_id"),
        now if body.timestamp is None else _moment(body.timestamp, now),
        kind,
        float(value),
        None if body.event_id is None else checked(body.event_id, "event_id"),
        None if body.session_id is None else checked(body.session_id, "session_id"),
        None if body.recommendation_id is None else checked(body.recommendation_id, "recommendation_id"),
        position,
        _extra(body) if body.context or body.properties or body.impressions else {},
    )


def _moment(sent: str | float | int, now: int) -> int:
    time = to_micros(sent)
    if time < EARLIEST:
        raise RequestError(f"timestamp {sent}", code="too_old", expected="1990 or later", hint="seconds since 1970, UTC")
    if time > now + AHEAD:
        raise RequestError(
            f"timestamp {sent}",
            code="too_new",
            expected="at most a day from now",
            hint="milliseconds are to be divided by 1000",
        )
    return time


def _extra(body: EventBody) -> dict[str, Any]:
    extra: dict[str, Any] = {name: part for name, part in (("context", body.context), ("properties", body.properties)) if part}
    if body.impressions:
        extra["impressions"] = [checked(item, "impressions") for item in body.impressions]
    return keepable(extra, MAX_EXTRA_BYTES, "context, properties and impressions")


def keepable(value: dict[str, Any], limit: int, what: str) -> dict[str, Any]:
    """The same tree as JSON that every store can keep.

    Raises:
        RequestError: it is larger than `limit` bytes, or holds text that is no UTF-8 or a zero byte.
    """
    try:
        text = msgspec.json.encode(value)
    except (UnicodeError, TypeError, ValueError, OverflowError, RecursionError):
        raise RequestError(f"{what} that are no JSON", code="bad_text", expected="JSON in valid UTF-8") from None
    if b"\\u0000" in text:
        raise RequestError(f"{what} with a zero byte", code="bad_text", expected="text without zero bytes")
    if len(text) > limit:
        raise RequestError(f"{what} of {len(text)} bytes", code="too_large", expected=f"at most {limit} bytes")
    kept: dict[str, Any] = msgspec.json.decode(text)
    return kept


def _plain(sent: Any) -> Any:
    """What was sent, as JSON for the dead letters; as text, cut, where it is none."""
    try:
        text = msgspec.json.encode(sent)
        if len(text) <= _RAW_TEXT and b"\\u0000" not in text:
            return msgspec.json.decode(text)
    except (UnicodeError, TypeError, ValueError, OverflowError, RecursionError):
        pass
    try:
        kept = msgspec.to_builtins(sent) if isinstance(sent, EventBody) else sent
        if isinstance(kept, Mapping):
            kept = dict(list(kept.items())[:20])
        return {"text": ascii(kept)[:_RAW_TEXT]}
    except Exception:
        return {"text": f"a {type(sent).__name__}"}
