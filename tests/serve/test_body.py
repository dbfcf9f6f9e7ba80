"""Bodies: bounds, and JSON in the strict sense."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.serve import body
from tastemaker.serve.problems import Refused

LIMIT = 1000
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda t: "\0" not in t),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda t: "\0" not in t), inner, max_size=4),
    max_leaves=40,
)


def received(*parts: bytes, gone: bool = False) -> body.Receive:
    """An ASGI `receive` that brings these parts."""

    def messages() -> Iterator[dict[str, Any]]:
        for place, part in enumerate(parts):
            yield {"type": "http.request", "body": part, "more_body": gone or place + 1 < len(parts)}
        yield {"type": "http.disconnect"}

    left = messages()

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def read(*parts: bytes, headers: dict[bytes, bytes] | None = None, gone: bool = False) -> bytes:
    return asyncio.run(body.read(headers or {}, received(*parts, gone=gone), LIMIT))


def lines(*parts: bytes, headers: dict[bytes, bytes] | None = None) -> list[bytes]:
    async def gather() -> list[bytes]:
        return [line async for line in body.lines(headers or {}, received(*parts), LIMIT)]

    return asyncio.run(gather())


PACKED = {b"content-encoding": b"gzip"}


@given(st.binary(max_size=LIMIT), st.integers(1, 50))
def test_a_body_arrives_whole_however_it_was_cut(content: bytes, size: int) -> None:
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    assert read(*parts) == content
    packed = gzip.compress(content)
    assert read(*[packed[at : at + size] for at in range(0, len(packed), size)], headers=PACKED) == content


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"-")), max_size=20), st.integers(1, 30))
def test_lines_arrive_whole_however_they_were_cut(rows: list[bytes], size: int) -> None:
    content = b"\n".join(rows)
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    assert lines(*parts) == [row for row in rows if row.strip()]


def test_a_stream_may_be_longer_than_a_line_may_be() -> None:
    assert len(lines(*[b"x" * 900 + b"\n"] * 50)) == 50
    with pytest.raises(Refused, match="more than 1,000 bytes"):
        lines(b"x" * 600, b"x" * 600)


@pytest.mark.parametrize(
    ("parts", "headers", "status"),
    [
        ([b"x" * 1001], {}, 413),
        ([b"x" * 600, b"x" * 600], {}, 413),
        ([b""], {b"content-length": b"1001"}, 413),
        ([gzip.compress(b"0" * 10_000_000, mtime=0)], PACKED, 413),
        ([b"no gzip"], PACKED, 400),
        ([gzip.compress(b"abc", mtime=0)[:-3]], PACKED, 400),
        ([gzip.compress(b"abc", mtime=0) + b"more"], PACKED, 400),
        ([b"abc"], {b"content-encoding": b"br"}, 415),
    ],
)
def test_a_body_beyond_its_bounds_is_refused(parts: list[bytes], headers: dict[bytes, bytes], status: int) -> None:
    with pytest.raises(Refused) as caught:
        read(*parts, headers=headers)
    assert caught.value.status == status


def test_a_client_that_goes_away_is_noticed() -> None:
    with pytest.raises(body.GoneError):
        read(b"abc", gone=True)


@given(trees)
def test_json_as_it_should_be_passes(tree: Any) -> None:
    for ascii_only in (True, False):
        body.check(json.dumps(tree, ensure_ascii=ascii_only).encode())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":{"b":[{"c":1,"\\u0063":2}]}}', "duplicate_key"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":-Infinity}', "malformed_json"),
        (b'{"a":', "malformed_json"),
        (b"", "malformed_json"),
        (b'{"a":"\\u0000"}', "nul"),
        (b'{"a":"\\\\\\u0000"}', "nul"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "too_deep"),
        (b"[" * 100_000, "too_deep"),
    ],
)
def test_loose_ends_of_json_are_refused(content: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        body.check(content)
    assert caught.value.code == code
    assert 400 <= caught.value.status < 500


def test_what_only_looks_like_a_loose_end_passes() -> None:
    body.check(b'{"a":"\\\\u0000"}')
    body.check(json.dumps({"a": "[{" * 100 + '"' + "\\" * 7}).encode())
    body.check(json.dumps([{"a": [n]} for n in range(1000)]).encode())


@given(st.integers(1, 60), st.text('[{"\\}] ax', max_size=30))
def test_depth_is_counted_outside_of_texts_only(depth: int, text: str) -> None:
    tree: Any = [text] * 40
    for _ in range(depth - 1):
        tree = {text: tree}
    content = json.dumps([tree, text]).encode()
    if depth + 1 > body.MAX_DEPTH:
        with pytest.raises(Refused, match="nested"):
            body.check(content)
    else:
        body.check(content)
