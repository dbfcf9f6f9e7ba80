"""The event buffer: whatever is added is durable in the end, or named."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tests.client.faults import Proxy
from tests.serve.serving import Server

from tastemaker.client import Client, EventBuffer, NotAllowedError, Retry, UndeliveredError
from tastemaker.errors import OverloadError
from tastemaker.wire.bodies import EventBody, RejectedEvent

QUICK = Retry(attempts=3, base_seconds=0.001)


def held(server: Server, user: str) -> list[str]:
    return [event.item_id for event in server.store.events(user_id=user, limit=5000).rows]


def test_events_arrive_in_the_background_and_on_close(server: Server) -> None:
    with Client(server.url, retry=QUICK) as client:
        with EventBuffer(client, seconds=0.05) as buffer:
            buffer.add(EventBody(user_id="soon", item_id="i4"))
            until = time.monotonic() + 5
            while not held(server, "soon") and time.monotonic() < until:
                time.sleep(0.01)
            assert held(server, "soon") == ["i4"]
        with EventBuffer(client, seconds=3600) as buffer:
            for n in range(2345):
                buffer.add(EventBody(user_id="many", item_id=f"i{n % 40}"))
        assert (buffer.accepted, len(buffer)) == (2345, 0)
    assert len(held(server, "many")) == 2345


def test_a_line_that_fails_loses_and_doubles_nothing(server: Server, line: Proxy) -> None:
    line.plan = ["drop", "swallow", 503, "drop", "swallow", "drop", "drop", "swallow", 503, 503]
    with Client(line.url, retry=QUICK) as client, EventBuffer(client, size=100, seconds=0.01) as buffer:
        for n in range(950):
            buffer.add(EventBody(user_id="unlucky", item_id=f"i{n % 40}"))
        until = time.monotonic() + 10
        while len(buffer) and time.monotonic() < until:
            time.sleep(0.01)
    assert len(held(server, "unlucky")) == 950
    assert buffer.accepted + buffer.duplicates == 950 and buffer.duplicates > 0


def test_what_cannot_be_sent_is_handed_back(line: Proxy) -> None:
    line.plan = [503] * 1000
    with Client(line.url, retry=QUICK) as client:
        buffer = EventBuffer(client, seconds=0.01)
        for n in range(7):
            buffer.add(EventBody(user_id="back", item_id=f"i{n}"))
        with pytest.raises(UndeliveredError, match="7 events") as lost:
            buffer.close(1.0)
        assert [event.item_id for event in lost.value.events] == [f"i{n}" for n in range(7)]
        assert all(event.event_id and event.timestamp for event in lost.value.events)
        with pytest.raises(OverloadError, match="closed"):
            buffer.add(EventBody(user_id="back", item_id="i9"))


def test_refused_events_are_told_one_by_one(server: Server) -> None:
    told: list[tuple[EventBody, RejectedEvent]] = []
    with Client(server.url, retry=QUICK) as client:
        with EventBuffer(client, seconds=3600, on_rejected=lambda event, why: told.append((event, why))) as buffer:
            buffer.add(EventBody(user_id="partly", item_id="i4"))
            buffer.add(EventBody(item_id="i5"))
            buffer.add(EventBody(user_id="partly", item_id="i6", properties={"x": "y" * 20_000}))
    assert held(server, "partly") == ["i4"]
    assert [(event.item_id, why.code) for event, why in told] == [("i5", "no_user"), ("i6", "too_large")]
    assert (buffer.accepted, buffer.rejected) == (1, 2)


def test_a_batch_too_large_is_sent_in_parts(server: Server) -> None:
    with Client(server.url, retry=QUICK) as client, EventBuffer(client, seconds=3600) as buffer:
        for n in range(1000):
            buffer.add(EventBody(user_id="wordy", item_id=f"i{n % 40}", properties={"text": "y" * 12_000}))
        buffer.flush()
        assert buffer.accepted == 1000


def test_a_full_buffer_says_so(line: Proxy) -> None:
    line.plan = [401] * 1000
    with Client(line.url, retry=QUICK) as client:
        buffer = EventBuffer(client, seconds=0.01, limit=3)
        for n in range(3):
            buffer.add(EventBody(user_id="full", item_id=f"i{n}"))
        until = time.monotonic() + 5
        while buffer.error is None and time.monotonic() < until:
            time.sleep(0.01)
        assert isinstance(buffer.error, NotAllowedError)
        with pytest.raises(OverloadError, match="401"):
            buffer.add(EventBody(user_id="full", item_id="i9"))
        with pytest.raises(UndeliveredError):
            buffer.close(0.5)


def test_what_is_no_json_is_refused_at_once(server: Server) -> None:
    with Client(server.url) as client, EventBuffer(client, seconds=3600) as buffer:
        with pytest.raises(UnicodeEncodeError):
            buffer.add(EventBody(user_id="half \ud800", item_id="i1"))
        assert len(buffer) == 0


def test_a_program_that_ends_without_closing_sends_what_waits(server: Server) -> None:
    code = f"""
from tastemaker.client import Client, EventBuffer
from tastemaker.wire.bodies import EventBody
buffer = EventBuffer(Client({server.url!r}), seconds=3600)
buffer.add(EventBody(user_id="forgetful", item_id="i4"))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert held(server, "forgetful") == ["i4"]
