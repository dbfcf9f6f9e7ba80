"""`serve` and `keys`: a real process, from its first line to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve import towns
from tests.serve.twins import twins
from typer.testing import CliRunner

from tastemaker.cli.app import app
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.store.base import open_store


@pytest.fixture(scope="module")
def trained() -> Recommender:
    return towns.model("item_knn")


def tastemaker(*arguments: str, status: int = 0) -> Any:
    """What a verb said, as JSON where it was asked for; an error's text otherwise."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return json.loads(result.stdout.splitlines()[-1]) if "--json" in arguments and not status else result.output


@contextmanager
def process(*arguments: str, log: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server of its own and what it told when it was ready; it has to end well."""
    with log.open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "tastemaker", "serve", "--port", "0", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line, log.read_text()
        yield server, json.loads(line)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
    finally:
        server.kill()
        server.stdout.close()
        server.wait()


def test_a_served_artifact_learns_from_an_event_and_drains_at_the_end(trained: Recommender, tmp_path: Path) -> None:
    artifact.save(trained, tmp_path / "artifact")
    url = f"sqlite:///{tmp_path}/shop.db"
    log = tmp_path / "log"
    with (
        process(str(tmp_path / "artifact"), "--store", url, log=log) as (server, told),
        httpx.Client(base_url=told["url"]) as client,
    ):
        assert (told["open"], told["model"]) == (True, "item_knn")
        assert client.get("/readyz").json() == {"status": "ready"}
        first = client.post("/v1/recommendations", json={"user_id": "me", "limit": 5}).json()
        assert first["status"] == "fallback"
        event = {"user_id": "me", "item_id": first["items"][0]["item_id"]}
        assert client.post("/v1/events", json={"events": [event]}).status_code == 202
        second = client.post("/v1/recommendations", json={"user_id": "me", "limit": 5}).json()
        assert (second["status"], second["model"]["name"]) == ("ok", "item_knn")
        made = tastemaker("keys", "create", "--store", url, "--scopes", "recommend", "--json")
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=told["url"], headers={"x-api-key": made["secret"]}) as own:
                for _ in range(200):
                    try:
                        answers.append(own.get("/v1/popular").status_code)
                    except httpx.TransportError:
                        return

        asking = threading.Thread(target=ask)
        asking.start()
        while len(answers) < 20:
            pass
        server.send_signal(signal.SIGTERM)
        asking.join()
    assert set(answers) == {200}  # what was taken was answered, to the end
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert sum(line["message"] == "request" for line in lines) >= 5
    assert made["secret"] not in log.read_text()


def test_a_service_without_a_model_is_ready_with_lists_for_everybody(tmp_path: Path) -> None:
    with (
        process("--store", str(tmp_path / "shop.db"), log=tmp_path / "log") as (_, told),
        httpx.Client(base_url=told["url"]) as client,
    ):
        assert told["model"] is None
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/popular").json()["items"] == []
        assert client.get("/v1/models").json() == {"models": [], "promoted": None}
        port = told["url"].rpartition(":")[2]
        assert "cannot be had" in tastemaker("serve", "--store", str(tmp_path / "b.db"), "--port", port, status=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["nowhere"], "nowhere"),
        (["--set", "http.nothing=1"], "nothing"),
        (["--set", "nothing.at_all=1"], "unknown section"),
        (["--set", "serve.max_batch=0"], "max_batch"),
    ],
)
def test_what_cannot_be_served_is_said_before_the_start(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in tastemaker("serve", "--store", "shop.db", *arguments, status=2)


def test_a_damaged_artifact_ends_the_service(trained: Recommender, tmp_path: Path) -> None:
    weights = artifact.save(trained, tmp_path / "artifact") / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    said = tastemaker(
        "serve", str(tmp_path / "artifact"), "--store", str(tmp_path / "s.db"), "--port", "0", "--threads", "1", status=2
    )
    assert "weights.safetensors" in said


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    made = tastemaker("keys", "create", "--store", url, "--scopes", "recommend,events:write", "--name", "shop", "--json")
    page = tastemaker("keys", "create", "--store", url, "--browser", "--json")
    assert made["signing_secret"] is None
    assert page["scopes"] == ["events:write", "recommend"]
    assert page["signing_secret"]
    listed = tastemaker("keys", "list", "--store", url, "--json")["keys"]
    assert {row["key_id"]: row["browser"] for row in listed} == {made["key_id"]: False, page["key_id"]: True}
    shown = tastemaker("keys", "list", "--store", url)
    assert made["secret"] not in shown
    tastemaker("keys", "revoke", made["key_id"], "--store", url)
    assert "no key" in tastemaker("keys", "revoke", made["key_id"], "--store", url, status=2)
    with open_store(url) as store:
        assert [row["action"] for row in store.audit_log().rows] == ["keys.revoke", "keys.create", "keys.create"]
        kept = store.keys()
    assert {key.key_id for key in kept if key.revoked is not None} == {made["key_id"]}


@pytest.mark.parametrize("arguments", [[], ["--scopes", "everything"], ["--scopes", "admin", "--browser"]])
def test_a_key_without_sense_is_refused(arguments: list[str], tmp_path: Path) -> None:
    assert "expected" in tastemaker("keys", "create", "--store", f"{tmp_path}/shop.db", *arguments, status=2)


def test_a_new_item_reaches_the_fans_of_its_twin_within_five_seconds_and_its_new_text_others(tmp_path: Path) -> None:
    found = twins()
    artifact.save(found.recommender, tmp_path / "artifact")
    with (
        process(str(tmp_path / "artifact"), "--store", f"sqlite:///{tmp_path}/shop.db", log=tmp_path / "log") as (_, told),
        httpx.Client(base_url=told["url"], timeout=30) as client,
    ):
        events = [
            {"user_id": str(user), "item_id": str(item)}
            for code, user in enumerate(found.recommender.users.ids.to_pylist(), start=2)
            for item in found.recommender.items.decode(found.recommender.histories.row(code))
        ]
        for start in range(0, len(events), 500):
            assert client.post("/v1/events", json={"events": events[start : start + 500]}).status_code == 202

        def shown(user: str) -> list[str]:
            answer = client.post("/v1/recommendations", json={"user_id": user, "limit": 2}).json()
            return [item["item_id"] for item in answer["items"]]

        def seconds(until: Callable[[], bool]) -> float:
            started = time.monotonic()
            while not until():
                assert time.monotonic() - started < 60
                time.sleep(0.02)
            return time.monotonic() - started

        taken = []
        for item, title in found.titles.items():
            fans = sorted(found.fans[item])[:5]
            assert client.put(f"/v1/items/{item}", json={"properties": {"title": title}}).status_code == 200
            taken.append(seconds(lambda item=item, fans=fans: all(item in shown(user) for user in fans)))  # type: ignore[misc]
        for item in found.titles:
            others = sorted(set.union(*found.fans.values()) - found.fans[item])
            assert not any(item in shown(user) for user in others[:5])
        assert max(taken) < 5, taken
        item, other = list(found.titles)[:2]
        assert found.fans[item].isdisjoint(found.fans[other])
        assert client.patch(f"/v1/items/{item}", json={"properties": {"title": found.titles[other]}}).status_code == 200
        new, old = sorted(found.fans[other])[:3], sorted(found.fans[item])[:3]
        twins_of_new = [one for one, fans in found.fans.items() if new[0] in fans]
        moved = seconds(lambda: not any(item in shown(user) for user in old))
        assert moved < 5
        for user in new:
            answer = client.post("/v1/recommendations", json={"user_id": user, "limit": 4}).json()
            assert {item, *twins_of_new} <= {one["item_id"] for one in answer["items"]}
