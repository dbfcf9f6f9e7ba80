"""Ids: the ones the service gives, and what ids of others must be."""

from __future__ import annotations

import os

from tastemaker.errors import RequestError
from tastemaker.store.base import MAX_ID_BYTES

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def new_id(now: int) -> str:
    """A ULID: 26 letters, sortable by time (`now` in µs, kept to the millisecond), 80 random bits that nobody can guess."""
    number = (now // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def checked(value: object, what: str) -> str:
    """An id that every store can keep.

    Raises:
        RequestError: it is empty, too long, or text that is no UTF-8 (codes "bad_id", "id_too_long").
    """
    if not isinstance(value, str) or not value:
        raise RequestError(f"{what} {ascii(value)[:40]}", code="bad_id", expected=f"1 to {MAX_ID_BYTES} bytes of text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise RequestError(
            f"{what} with half a surrogate pair", code="bad_id", expected="text that is valid UTF-8", hint="cut no text in two"
        ) from None
    if size > MAX_ID_BYTES:
        raise RequestError(f"{what} of {size} bytes", code="id_too_long", expected=f"at most {MAX_ID_BYTES} bytes")
    if "\0" in value:
        raise RequestError(f"{what} with a zero byte", code="bad_id", expected="text without zero bytes")
    return value
