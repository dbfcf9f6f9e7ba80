"""Between what callers hold and what tables hold: ids, JSON, cursors."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tastemaker.errors import DataError, RequestError
from tastemaker.store.base import MAX_ID_BYTES

EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""µs of the years 1 and 9999"""


def id_bytes(text: str, name: str = "id") -> bytes:
    """UTF-8 of an id.

    Raises:
        DataError: it is empty, too long or no text.
    """
    try:
        found = text.encode()
    except (AttributeError, UnicodeEncodeError):
        raise DataError(f"{name} {ascii(text)[:80]}", expected="text without lone surrogates") from None
    if 0 < len(found) <= MAX_ID_BYTES:
        return found
    raise DataError(f"{name} of {len(found)} bytes", expected=f"1 to {MAX_ID_BYTES} bytes of UTF-8")


def asked_id(text: str) -> bytes:
    """UTF-8 of an id that is only looked up: one that cannot be there becomes one that is not."""
    try:
        return text.encode()[: MAX_ID_BYTES + 1]
    except UnicodeEncodeError:
        return b""


def time_of(value: Any, name: str = "time") -> int:
    """µs since 1970. Raises DataError where it lies outside the years 1 to 9999."""
    if isinstance(value, bool) or not isinstance(value, int) or not EARLIEST <= value <= LATEST:
        raise DataError(f"{name} {str(value)[:40]}", expected="µs since 1970 UTC, between the years 1 and 9999")
    return value


def finite(value: Any, name: str = "value") -> float:
    """A number that is neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{name} {str(value)[:40]}", expected="a finite number")
    return float(value)


def to_json(value: Any, name: str = "value") -> str:
    """JSON in one line. Raises DataError for what JSON cannot hold."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{name} that JSON cannot hold: {error}", expected="JSON") from None


def any_to_json(value: Any) -> str:
    """JSON of whatever was sent, for the dead letters: what JSON cannot hold is written as its text."""
    try:
        return json.dumps(value, default=repr, skipkeys=True)
    except (ValueError, RecursionError):
        return json.dumps(ascii(value)[:10_000])


def from_json(text: str | None) -> Any:
    """What `to_json` wrote; None for None."""
    return None if text is None else json.loads(text)


def sayable(text: str) -> str:
    """Text that every database takes: no zero bytes, no lone surrogates."""
    return text.replace("\0", "�").encode(errors="replace").decode()


def to_cursor(*key: Any) -> str:
    """An opaque place to go on from; bytes in it are kept as latin-1."""
    cells = [["b", cell.decode("latin-1")] if isinstance(cell, bytes) else cell for cell in key]
    return base64.urlsafe_b64encode(json.dumps(cells).encode()).decode().rstrip("=")


def from_cursor(cursor: str, *kinds: type) -> Sequence[Any]:
    """The key in a cursor.

    Raises:
        RequestError: it is none of ours (400).
    """
    try:
        cells = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
        key = [cell[1].encode("latin-1") if isinstance(cell, list) and cell[0] == "b" else cell for cell in cells]
        good = len(key) == len(kinds) and all(type(cell) is kind for cell, kind in zip(key, kinds, strict=True))
        good = good and all(abs(cell) < 2**63 for cell in key if isinstance(cell, int))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError):
        good = False
    if not good:
        raise RequestError("a cursor that was not given here", code="bad_cursor", status=400, hint="start without a cursor")
    return key


def mapping(text: str | None) -> Mapping[str, Any]:
    """A JSON object; empty for None."""
    return from_json(text) or {}
