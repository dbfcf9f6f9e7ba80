"""Whatever is sent to a running server, it answers 4xx or less, and serves on."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.serve.process import Process
from bench.serve.world import item
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.chaos.live import chosen, new, recommended, sent

from tastemaker.serve.routes import ROUTES

pytestmark = pytest.mark.chaos
EXAMPLES = chosen(25, 5000)
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
POSTS = sorted(
    route.path for route in ROUTES if route.method == "POST" and not route.path.startswith(("/v1/keys", "/v1/models"))
)

ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "\ud800", "x" * 300, "9" * 400, item(3), -1, 10**400, 1e308, "1969-07-20T20:17:00Z", "2099-01-01", -(10**12), "NaN"])
)  # fmt: skip
TREES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=8
)
EVENT_FIELDS = "event_id type user_id anonymous_id session_id item_id value timestamp recommendation_id position impressions context properties filter"
ASK_FIELDS = (
    "user_id limit scenario filter parameters boosts pins exclude_item_ids exclude_seen diversity max_per rotation strict_filter context "
    "include deadline_ms item_ids item_id events requests items users from"
)
EVENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(EVENT_FIELDS.split(), ATOMS | TREES))
ASKS = st.fixed_dictionaries({}, optional=dict.fromkeys(ASK_FIELDS.split(), ATOMS | TREES))


def packed(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=True).encode()


@pytest.fixture(scope="module")
def client(server: Process) -> httpx.Client:
    with httpx.Client(base_url=server.url, timeout=30) as found:
        yield found


def well(server: Process, client: httpx.Client) -> None:
    user = new("well")
    assert sent(client, {"user_id": user, "item_id": item(7)})["accepted"] == 1
    assert len(recommended(client, user)["items"]) == 10
    assert server.child.poll() is None


@MANY
@given(path=st.sampled_from(POSTS), body=st.binary(max_size=300) | TREES.map(packed) | ASKS.map(packed))
def test_no_body_is_answered_with_5xx(client: httpx.Client, path: str, body: bytes) -> None:
    for name in ("user_id", "recommendation_id", "job_id"):
        path = path.replace("{" + name + "}", "poison")
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, (path, body, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] != "internal"


@MANY
@given(rows=st.lists(EVENTS | TREES, min_size=1, max_size=5))
def test_whatever_looks_like_events_is_taken_or_refused_by_its_place(client: httpx.Client, rows: list[Any]) -> None:
    answer = client.post("/v1/events", content=packed({"events": rows}), headers={"content-type": "application/json"})
    assert answer.status_code in (202, 400, 422), answer.text
    if answer.status_code == 202:
        taken = answer.json()
        assert taken["accepted"] + taken["duplicates"] + len(taken["rejected"]) == len(rows)


@MANY
@given(
    noise=st.binary(min_size=1, max_size=200),
    head=st.sampled_from([b"", b"GET /", b"POST /v1/events HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\nhost: "]),
)
def test_bytes_that_are_no_http_close_one_connection_only(server: Process, noise: bytes, head: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as wire:
        wire.sendall(head + noise)
        wire.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while part := wire.recv(65536):
                found += part
        except (TimeoutError, ConnectionResetError):
            pass
    assert not found.startswith(b"HTTP/1.1 5"), found


def test_after_all_that_it_serves_on_and_its_log_tells_of_no_failure(server: Process, client: httpx.Client) -> None:
    for path in ("/v1/events", "/v1/recommendations", "/v1/items:batch"):
        for body in (
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"events":[' + b"0," * 200_000 + b"0]}",
            b'"' + b"\\u0000" * 10_000 + b'"',
        ):
            answer = client.post(path, content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, answer.text
    for name in ("e", "e" * 257, "%00", "%ff", "..%2f..", "a%0d%0aset-cookie:x"):
        for path in (f"/v1/items/{name}", f"/v1/users/{name}/recommendations", f"/v1/recommendations/{name}/next"):
            assert client.get(path).status_code < 500
    well(server, client)
    log = Path(server.log).read_text()
    assert "Traceback" not in log
    assert '"status": 500' not in log and '"status":500' not in log
