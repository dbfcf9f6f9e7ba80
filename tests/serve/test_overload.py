"""More than can be answered, and clients that dawdle."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.serve.serving import Server, serving

from tastemaker.errors import StoreError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), model=False, max_in_flight=4, timeout_seconds=1.5) as found:
        yield found


def test_what_is_too_much_is_refused_at_once_while_health_stays_green(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, item = threading.Event(), server.service.item
    monkeypatch.setattr(server.service, "item", lambda item_id: gate.wait(1.0) and item(item_id))
    with ThreadPoolExecutor(12) as crowd:
        waiting = [crowd.submit(httpx.get, f"{server.url}/v1/items/i4") for _ in range(12)]
        while sum(one.done() for one in waiting) < 8:
            time.sleep(0.005)
        refused = [one.result() for one in waiting if one.done()]
        assert server.client.get("/livez").status_code == 200
        assert server.client.get("/readyz").status_code == 200
        gate.set()
        statuses = [one.result().status_code for one in waiting]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "overload")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert sorted(statuses) == [200] * 4 + [503] * 8
    assert server.client.get("/v1/items/i4").status_code == 200


def test_a_call_that_takes_too_long_is_answered_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(server.service, "item", lambda item_id: gate.wait(10))
    started = time.monotonic()
    answer = server.client.get("/v1/items/i4")
    gate.set()
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline")
    assert time.monotonic() - started < 5


def test_a_body_that_never_ends_is_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(
            b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        )
        assert wire.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_half_way_leaves_nothing_behind(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(
            b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        )
    for _ in range(100):
        if 'route="/v1/events",status="499"' in server.client.get("/metrics").text:
            break
        time.sleep(0.02)
    text = server.client.get("/metrics").text
    assert 'route="/v1/events",status="499"' in text
    assert "tastemaker_requests_in_flight 1.0" in text  # this very request


def test_a_store_that_is_away_is_told_without_its_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(item_id: str) -> None:
        raise StoreError("no connection to postgresql://shop:secret@db/shop")

    monkeypatch.setattr(server.service, "item", away)
    answer = server.client.get("/v1/items/i4")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_unavailable", "1")
    assert "secret" not in answer.text
