"""Reads the body of a request: bounded in size and depth, and JSON in the strict sense.

JSON's loose ends are refused: duplicate keys (readers disagree on which one counts), NaN and Infinity, lone surrogates and U+0000 (no
database keeps them), anything but UTF-8. What a body must look like besides is the struct's business.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from tastemaker.serve.problems import Refused

MAX_DEPTH = 32
"""Objects and lists within each other."""

Receive = Callable[[], Awaitable[Any]]

_BRACKETS = bytes(set(range(256)) - set(b'{}[]"\\'))
_ESCAPED = re.compile(rb"\\.", re.S)
_TEXT = re.compile(rb'"[^"]*"')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class GoneError(Exception):
    """The client went away before its request was whole."""


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes in. Raises GoneError when the client goes away half-way."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def read(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body, unpacked, of at most `limit` bytes before and after.

    Raises:
        Refused: 413 too large; 415 another encoding than gzip; 400 damaged gzip.
    """
    length = headers.get(b"content-length")
    if length is not None and int(length) > limit:
        raise _too_large(limit)
    unpack = unpacker(headers, limit)
    whole, size = [], 0
    async for chunk in chunks(receive):
        part = unpack(chunk, False) if unpack else chunk
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        whole.append(part)
    if unpack:
        unpack(b"", True)
    return whole[0] if len(whole) == 1 else b"".join(whole)


async def lines(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body line by line, unpacked, without empty ones; a line has at most `limit` bytes, the body as many as it likes.

    Raises:
        Refused: as `read`.
    """
    unpack = unpacker(headers, limit)
    rest = b""
    async for chunk in chunks(receive):
        *whole, rest = (rest + (unpack(chunk, False) if unpack else chunk)).split(b"\n")
        if len(rest) > limit:
            raise _too_large(limit)
        for line in whole:
            if line.strip():
                yield line
    if unpack:
        unpack(b"", True)
    if rest.strip():
        yield rest


def unpacker(headers: Mapping[bytes, bytes], limit: int) -> Callable[[bytes, bool], bytes] | None:
    """A function that unpacks a part of the body into at most `limit` bytes; None where the body is not packed."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding == b"identity":
        return None
    if coding != b"gzip":
        raise Refused("another content-encoding", code="encoding", status=415, expected="gzip or none")
    gunzip = zlib.decompressobj(wbits=31)

    def unpack(packed: bytes, last: bool) -> bytes:
        try:
            part = gunzip.decompress(packed, limit + 1)
        except zlib.error:
            raise Refused("a body that is no gzip", code="malformed_gzip", status=400) from None
        if gunzip.unconsumed_tail:
            raise _too_large(limit)
        if gunzip.unused_data or (last and not gunzip.eof):
            raise Refused("a gzip body cut short or with more behind it", code="malformed_gzip", status=400)
        return part

    return unpack


def _too_large(limit: int) -> Refused:
    return Refused(f"a body of more than {limit:,} bytes", code="too_large", status=413, hint="send fewer rows at a time")


def check(body: bytes) -> None:
    """Refuses JSON that readers could understand differently or that is nested beyond `MAX_DEPTH`.

    Raises:
        Refused: 400 duplicate_key, malformed_json or too_deep; 422 nul.
        UnicodeDecodeError: the body is not UTF-8.
    """
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise Refused("objects or lists nested too deeply", expected=f"at most {MAX_DEPTH}", code="too_deep", status=400)
    if b"\\u0000" in body and _NUL.search(body):
        raise Refused("the character U+0000 in a text", code="nul", status=422, hint="remove it")
    try:
        _READER.decode(body.decode())
    except json.JSONDecodeError as error:
        raise Refused(f"{error.msg} at byte {error.pos}", expected="JSON in UTF-8", code="malformed_json", status=400) from None


def _depth(body: bytes) -> int:
    """Greatest depth, found without parsing: all but brackets outside of texts is removed, then they are counted."""
    if b"\\" in body:
        body = _ESCAPED.sub(b"", body)
    body = body.translate(None, _BRACKETS).replace(b'""', b"")
    if b'"' in body:
        body = _TEXT.sub(b"", body)
    signs = np.frombuffer(body, np.uint8)
    return int(np.cumsum(np.where((signs == ord("[")) | (signs == ord("{")), 1, -1)).max(initial=0))


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise Refused("an object with the same key twice", code="duplicate_key", status=400)


def _no_constant(name: str) -> None:
    raise Refused(f"{name}, which is not JSON", code="malformed_json", status=400)


_READER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_int=len, parse_float=len)


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """A function that reads a checked body into a struct."""
    inner = msgspec.json.Decoder(kind)

    def decode(body: bytes) -> Any:
        check(body)
        return inner.decode(body)

    return decode
