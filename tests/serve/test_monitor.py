"""What can be seen of a running service, and what cannot."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest
from tests.serve.serving import Server, serving

from tastemaker.wire.bodies import EventsTaken

SECRET, USER, ITEM = "tm_canary-secret", "canary-user", "canary-item"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), model=False, slow_ms=0.0) as found:
        yield found


def test_ids_and_secrets_are_in_no_log_line_and_no_metric(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"authorization": f"Bearer {SECRET}", "x-user-token": SECRET}
    requests = [
        (
            "POST",
            "/v1/events",
            {"events": [{"user_id": USER, "item_id": ITEM}, {"user_id": USER, "item_id": ITEM, "value": "x"}]},
        ),
        ("POST", "/v1/recommendations", {"user_id": USER, "filter": f"{USER} = '{ITEM}'"}),
        ("GET", f"/v1/users/{USER}/recommendations", None),
        ("GET", f"/v1/items/{ITEM}/similar", None),
        ("GET", f"/v1/items/no-{ITEM}", None),
        ("GET", f"/v1/{USER}/nothing", None),
        (USER.upper().replace("-", ""), "/v1/popular", None),
        ("GET", f"/v1/popular?{USER}={SECRET}", None),
        ("POST", "/v1/recommendations", {USER: ITEM}),
        ("DELETE", f"/v1/users/{USER}", None),
    ]
    for verb, path, body in requests:
        server.client.request(verb, path, json=body, headers=headers)
    server.monitor.flush()
    slow = server.client.get("/v1/slow-requests").text
    seen = server.log.getvalue() + server.client.get("/metrics").text + slow
    seen += "".join(record.getMessage() for record in caplog.records if not record.name.startswith(("http", "asyncio")))
    assert "/v1/users/{user_id}/recommendations" in seen
    for canary in (SECRET, USER, ITEM, USER.upper().replace("-", "")):
        assert canary not in seen


def test_an_unforeseen_failure_tells_where_but_not_with_what(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(item_id: str) -> None:
        raise KeyError(f"{USER} {SECRET}")

    monkeypatch.setattr(server.service, "item", broken)
    logger = logging.getLogger("tastemaker")
    monkeypatch.setattr(logger, "propagate", True)
    answer = server.client.get("/v1/items/i4")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert USER not in answer.text
    assert "KeyError" in caplog.text
    assert "test_monitor.py" in caplog.text
    assert USER not in caplog.text
    assert answer.json()["request_id"] in caplog.text


def test_each_request_is_counted_refused_ones_included(server: Server) -> None:
    server.client.get("/v1/popular")
    server.client.get("/v1/popular?limit=0")
    server.client.get("/nowhere")
    text = server.client.get("/metrics").text
    assert re.search(r'tastemaker_requests_total\{method="GET",route="/v1/popular",status="200"\} [1-9]', text)
    assert re.search(r'tastemaker_requests_total\{method="GET",route="/v1/popular",status="422"\} [1-9]', text)
    assert re.search(r'tastemaker_requests_total\{method="GET",route="none",status="404"\} [1-9]', text)
    assert re.search(r'tastemaker_problems_total\{code="not_found"\} [1-9]', text)
    assert re.search(r'tastemaker_request_seconds_bucket\{le="\+Inf",route="/v1/popular"\} [1-9]', text)
    for stage in ("read", "handle", "write"):
        assert f'tastemaker_stage_seconds_count{{route="/v1/popular",stage="{stage}"}}' in text
    for name in (
        "tastemaker_queue_depth{",
        "tastemaker_ready 1.0",
        "tastemaker_requests_in_flight",
        "tastemaker_batch_size_bucket",
    ):
        assert name in text


def test_events_and_answers_are_counted_by_what_became_of_them(server: Server) -> None:
    def count(line: str) -> float:
        found = re.search(re.escape(line) + r" (\S+)", server.client.get("/metrics").text)
        return float(found[1]) if found else 0.0

    names = [f'tastemaker_events_total{{outcome="{name}"}}' for name in ("accepted", "duplicate", "rejected")]
    fallback = 'tastemaker_answers_total{fallback="popular",status="fallback"}'
    before = [count(name) for name in (*names, fallback)]
    event = {"user_id": "m", "item_id": "i4", "event_id": "m1"}
    taken = server.client.post("/v1/events", json={"events": [event, event, {"user_id": "m"}]})
    assert EventsTaken(**taken.json()).accepted == 1
    server.client.post("/v1/recommendations", json={"user_id": "nobody"})
    assert [count(name) for name in (*names, fallback)] == [one + 1 for one in before]
    assert count('tastemaker_rejected_events_total{code="missing_field"}') >= 1


def test_a_line_of_json_for_each_request(server: Server) -> None:
    server.client.get("/v1/items/nothing", headers={"x-request-id": "line-1"})
    server.monitor.flush()
    line = next(one for one in map(json.loads, server.log.getvalue().splitlines()) if one["request_id"] == "line-1")
    assert (line["route"], line["status"], line["code"]) == ("/v1/items/{item_id}", 404, "unknown_item")
    assert line["ms"] > 0


def test_slow_requests_are_captured_with_their_stages(server: Server) -> None:
    server.client.post("/v1/recommendations", json={"user_id": "u3"}, headers={"x-request-id": "slow-1"})
    rows = server.client.get("/v1/slow-requests").json()["requests"]
    row = next(one for one in rows if one["request_id"] == "slow-1")
    assert row["route"] == "/v1/recommendations"
    assert sum(row["stages"].values()) == pytest.approx(row["milliseconds"], abs=0.01)
    assert len(rows) <= 100


def test_the_stages_of_a_list_are_timed(server: Server) -> None:
    assert server.client.post("/v1/recommendations", json={"user_id": "u3", "limit": 3}).status_code == 200
    text = server.client.get("/metrics").text
    for stage in ("filter", "history", "score", "rerank", "record"):
        found = re.search(f'tastemaker_list_stage_seconds_count{{stage="{stage}"}} (\\S+)', text)
        assert found and float(found[1]) >= 1, stage
