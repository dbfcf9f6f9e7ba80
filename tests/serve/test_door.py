from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.serving import Server, serving

from tastemaker.serve.batcher import Batcher
from tastemaker.serve.door import Door, body_length
from tastemaker.serve.monitor import Monitor
from tastemaker.serve.route import Table
from tastemaker.serve.routes import ROUTES

BODY = b'{"user_id":"u3","limit":3}'


def post(path: bytes = b"/v1/recommendations", body: bytes = BODY, *, more: bytes = b"", length: bytes | None = None) -> bytes:
    size = str(len(body)).encode() if length is None else length
    return b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\n%scontent-type: application/json\r\ncontent-length: %s\r\n\r\n%s" % (
        path,
        more,
        size,
        body,
    )


def door(**full: bool) -> Door:
    return Door(Table(ROUTES), {name: lambda is_full=is_full: is_full for name, is_full in full.items()}, Monitor(log=None))


@pytest.mark.parametrize(
    "request_",
    [
        post(),
        post(b"/v1/sessions/recommendations"),
        post(body=b"", length=b"0"),
        b"GET /v1/users/u%2F3/recommendations?limit=3 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_plain_requests_for_a_full_room_are_turned_away(request_):
    answer, missing = door(recommend=True, writes=False).turned_away(request_)
    assert missing == 0
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert int(fields["content-length"]) == len(body)
    assert int(fields["retry-after"]) >= 1
    told = json.loads(body)
    assert (told["status"], told["code"], told["request_id"]) == (503, "overload", fields["x-request-id"])


def test_a_head_is_enough_to_be_turned_away():
    _, missing = door(recommend=True, writes=False).turned_away(post()[:-7])
    assert missing == 7


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        post(b"/v1/events"),
        post(b"/v1/rank"),
        post(b"/v1/nothing"),
        post() + post(),
        post()[:40],
        post(length=b"1"),
        post(length=b"+26"),
        post(more=b"content-length: 26\r\n"),
        post(more=b"Transfer-Encoding: chunked\r\n"),
        post(more=b"Origin: https://shop.example\r\n"),
        post(more=b"X-Request-Id: mine\r\n"),
        post(more=b"Expect: 100-continue\r\n"),
        post(more=b"Connection: close\r\n"),
        post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_everything_else_is_left_to_the_application(request_):
    assert door(recommend=True, writes=False).turned_away(request_) is None


@given(
    st.lists(
        st.sampled_from([b"POST", b" ", b"/v1/recommendations", b"HTTP/1.1", b"\r\n", b"content-length:", b"26", b"\0\xff"])
    )
)
def test_no_bytes_upset_the_door(parts):
    door(recommend=True, writes=True).turned_away(b"".join(parts))


def test_a_door_with_room_turns_nobody_away():
    empty = door(recommend=False, writes=False)
    assert not empty.crowded
    assert empty.turned_away(post()) is None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), model=False) as found:
        yield found


@pytest.fixture
def crowd(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(Batcher, "full", property(lambda self: True))
    return server


def refused(server: Server) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    start = 'tastemaker_requests_total{method="POST",route="/v1/recommendations",status="503"}'
    return float(next((line.split()[-1] for line in lines if line.startswith(start)), 0))


def logged(server: Server) -> int:
    told = [json.loads(line) for line in server.log.getvalue().splitlines()]
    return sum(line["requests"] for line in told if line["message"] == "turned away")


def test_who_is_turned_away_is_counted_and_logged_and_may_stay(crowd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = refused(crowd)
    for _ in range(3):
        answer = crowd.client.post("/v1/recommendations", content=BODY, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (503, "overload")
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert refused(crowd) == before + 3
    assert crowd.client.get("/livez").status_code == crowd.client.get("/readyz").status_code == 200
    until = time.monotonic() + 10
    while logged(crowd) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    assert logged(crowd) == 3
    monkeypatch.undo()
    assert crowd.client.post("/v1/recommendations", json={"limit": 3}).status_code == 200


def test_a_request_in_pieces_and_one_with_an_id_of_its_own_are_refused_by_the_application(crowd: Server) -> None:
    before = refused(crowd)
    mine = crowd.client.post("/v1/recommendations", json={"limit": 3}, headers={"x-request-id": "mine"})
    assert (mine.status_code, mine.headers["x-request-id"], mine.headers["retry-after"]) == (503, "mine", "1")
    host, port = crowd.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (post()[:40], post()[40:-9], post()[-9:-5], post()[-5:]):
            wire.sendall(piece)
            time.sleep(0.02)
        assert wire.recv(65536).startswith(b"HTTP/1.1 503 ")
        wire.sendall(post()[:-9])
        time.sleep(0.02)
        wire.sendall(post()[-9:] + post())
        time.sleep(0.02)
        wire.sendall(post() + post(more=b"Connection: close\r\n"))
        rest = b""
        while part := wire.recv(65536):
            rest += part
        assert rest.count(b"HTTP/1.1 503 ") == 4
    assert refused(crowd) == before + 6


def test_a_refused_request_is_refused_before_its_body_is_there(crowd: Server) -> None:
    host, port = crowd.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(post(body=b"{", length=b"1000000"))
        assert wire.recv(65536).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"\r\nhost: a\r\n", 0),
        (b"\r\ncontent-length: 5\r\n", 5),
        (b"\r\ncontent-length : 5\r\n", -1),
        (b"\r\nhost: a\ncontent-length: 5\r\n", -1),
        (b"\r\ncontent-length: -5\r\n", -1),
        (b"\r\ncontent-length: 5\r\ncontent-length: 6\r\n", -1),
        (b"\r\ncontent-length:\r\n", -1),
    ],
)
def test_a_body_whose_length_is_not_plain_is_left_to_the_parser(head, length):
    assert body_length(head) == length
