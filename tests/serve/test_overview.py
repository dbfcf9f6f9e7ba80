"""The overview: what it says is what happened, and its alerts come when there is reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve.serving import Server, serving

from tastemaker.serve.jobs import Schedule, schedule
from tastemaker.serve.overview import series
from tastemaker.serve.rates import Second
from tastemaker.store.base import Job


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town")) as found:
        yield found


def seen(server: Server) -> dict[str, Any]:
    time.sleep(1.1)  # the second under way is not told
    return server.client.get("/v1/overview").json()


def codes(overview: dict[str, Any]) -> set[str]:
    return {one["code"] for one in overview["alerts"]}


def test_a_quiet_service_is_well_and_says_what_it_does_not_know(server: Server) -> None:
    found = server.client.get("/v1/overview").json()
    assert (found["health"], found["alerts"]) == ("good", [])
    assert found["click_through"] == {"value": None, "low": None, "high": None, "of": 0}
    assert found["pulse"]["p99_ms"] is None and found["pulse"]["fallback"] is None
    assert found["catalogue"] == {"items": 40, "available": 40, "shown": 0, "share": 0.0}


def test_clicks_and_purchases_are_outcomes(server: Server) -> None:
    for number in range(2, 12):
        answer = server.client.post("/v1/recommendations", json={"user_id": f"u{number}", "limit": 4}).json()
        if number < 5:
            one = {
                "user_id": f"u{number}",
                "item_id": answer["items"][0]["item_id"],
                "recommendation_id": answer["recommendation_id"],
            }
            server.client.post("/v1/events", json={"events": [one | {"type": "purchase" if number == 2 else "click"}]})
    server.service.recorder.flush()
    server.service.refresh()
    found = seen(server)
    assert (found["click_through"]["value"], found["click_through"]["of"]) == (0.3, 10)
    assert found["conversion"]["value"] == 0.1 and found["conversion"]["low"] < 0.1 < found["conversion"]["high"]
    assert [(one["name"], one["answers"]) for one in found["by_model"]] == [("item_knn", 10)]
    assert found["pulse"]["lists_per_second"] == pytest.approx(10 / 60) and found["pulse"]["p50_ms"] > 0
    assert found["pulse"]["events_per_second"] == pytest.approx(3 / 60)


def test_steps_hold_what_happened_in_them_and_the_one_under_way_is_left_out() -> None:
    seconds = [Second(at, Counter(accepted=at - 999, requests=10)) for at in range(1000, 1025)]
    found = series(seconds, 1025.5)
    assert (found.time[-1], found.time[-2], len(found.time)) == (1020.0, 1010.0, 60)
    assert found.events_per_second[-2:] == [sum(range(1, 11)) / 10, sum(range(11, 21)) / 10]
    assert found.requests_per_second[-2:] == [10, 10] and found.requests_per_second[-3] == 0 and found.p50_ms[-1] is None


def test_rejected_events_raise_an_alert(server: Server) -> None:
    good = [{"user_id": "u2", "item_id": "i2"}] * 50
    server.client.post("/v1/events", json={"events": [*good, *[{"user_id": "u2", "item_id": ""}] * 10]})
    found = seen(server)
    assert codes(found) == {"rejected"} and found["health"] == "warn"
    assert (
        "10 of 60" in found["alerts"][0]["text"]
        and "bad_id" in found["alerts"][0]["text"]
        and found["alerts"][0]["page"] == "data"
    )


def test_lists_for_nobody_raise_an_alert(server: Server) -> None:
    for _ in range(60):
        server.client.post("/v1/recommendations", json={"user_id": "nobody", "limit": 2})
    assert codes(seen(server)) == {"fallback"}


def test_no_model_an_old_one_and_a_failed_training_are_told(server: Server) -> None:
    server.service.swap(None)
    server.store.put_job(Job("j1", "train", "failed", 1, 1, 0.0, {"name": "sasrec", "error": "no"}))
    assert codes(server.client.get("/v1/overview").json()) == {"no_model", "training_failed"}


def test_trainings_that_nobody_runs_are_told(server: Server) -> None:
    hour, now = 3_600_000_000, int(time.time() * 1e6)
    schedule(server.store, "sasrec", Schedule(every_hours=24))
    server.store.put_job(Job("j1", "train", "done", now - 24 * hour, now, 1.0, {"name": "sasrec"}))
    assert codes(server.client.get("/v1/overview").json()) == set()
    server.store.put_job(Job("j2", "train", "done", now - 30 * hour, now, 1.0, {"name": "ease"}))
    schedule(server.store, "ease", Schedule(every_hours=24))
    found = server.client.get("/v1/overview").json()
    assert codes(found) == {"schedule_late"} and "ease is 6 hours late" in found["alerts"][0]["text"]
    server.store.put_job(Job("j3", "train", "queued", now - hour, now, 0.0, {"name": "ease"}))
    assert codes(server.client.get("/v1/overview").json()) == {"training_waits"}
    server.store.put_job(Job("j4", "train", "running", now - hour, now, 0.0, {"name": "sasrec"}))
    assert codes(server.client.get("/v1/overview").json()) == set()


def test_without_the_store_it_tells_what_is_in_memory(server: Server) -> None:
    server.client.post("/v1/recommendations", json={"user_id": "u2", "limit": 4})
    server.service.recorder.flush()
    server.service.refresh()
    server.store.close()
    file = Path(server.store.url.removeprefix("sqlite:///"))
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()
    file.mkdir()
    found = server.client.get("/v1/overview").json()
    assert "store_lost" in codes(found) and found["health"] == "bad"
    assert found["events"] is None and found["click_through"]["of"] == 1 and found["catalogue"]["shown"] == 4


def test_the_pulse_is_heard_each_second(server: Server) -> None:
    with server.client.stream("GET", "/v1/live?topics=pulse") as answer:
        lines = answer.iter_lines()
        beats = [line for line, _ in zip((one for one in lines if one.startswith("data")), range(3), strict=False)]
    assert len(set(beats)) == 3


def test_a_session_that_wants_no_record_counts_nowhere(server: Server) -> None:
    body = {"events": [{"item_id": "i4"}], "limit": 3}
    kept, left = (
        server.client.post("/v1/sessions/recommendations", json=body | more).json()["recommendation_id"]
        for more in ({}, {"record": False})
    )
    server.service.recorder.flush()
    server.service.refresh()
    assert server.store.answer(kept) is not None and server.store.answer(left) is None
    assert server.service.outcomes.counted().total().answers == 1
