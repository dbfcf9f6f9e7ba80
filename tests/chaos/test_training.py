"""A training is killed with its server, again and again: the model in use stays, and no half version is ever seen."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import httpx
import pytest
from bench.serve.world import World
from tests.chaos.live import chosen, recommended, started

from tastemaker.recommend import artifact
from tastemaker.serve.registry import Registry
from tastemaker.store import open_store

pytestmark = pytest.mark.chaos
KILLS = chosen(2, 20)


def children(parent: int) -> list[int]:
    """Processes that a process started."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(place.name))
    return found


@pytest.mark.timeout(600 + 60 * KILLS)
def test_a_training_killed_in_any_phase_leaves_the_model_in_use_and_ends_well(shop: World, store: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    folder = tmp_path / "models"
    with open_store(store) as opened:
        registry = Registry(opened, folder)
        registry.add(shop.artifact, "line")
        registry.promote("line", 1, force=True)
    options = ("--models", str(folder), "--set", "jobs.poll_seconds=0.05", "--set", "jobs.kills=100")
    server = started(store, tmp_path, *options)
    try:
        config = {"model": {"name": "item_knn"}}
        asked = httpx.post(f"{server.url}/v1/models/line:train", json={"config": config, "promote": False}, timeout=30)
        assert asked.status_code == 202, asked.text
        path, phases = f"/v1/jobs/{asked.json()['job_id']}", set()
        for kill in range(KILLS):
            job = _underway(server.url, path)
            if job is None:
                break
            time.sleep(draw.uniform(0, chosen(1.5, 6)))
            phases.add(httpx.get(server.url + path, timeout=30).json()["detail"].get("phase"))
            workers = children(server.child.pid)
            if kill % 2:
                server.kill()
                server = started(store, tmp_path, *options)
            else:
                for worker in workers:
                    os.kill(worker, signal.SIGKILL)
            _sound(server.url, folder)
        until = time.monotonic() + 600
        while (job := httpx.get(server.url + path, timeout=30).json())["state"] != "done":
            assert job["state"] in ("queued", "running"), job
            assert time.monotonic() < until, job
            _sound(server.url, folder)
            time.sleep(0.2)
        _sound(server.url, folder)
        found = httpx.get(f"{server.url}/v1/models/line/versions", timeout=30).json()["models"]
        assert [one["version"] for one in found] == [2, 1], "one job, one version"
    finally:
        server.stop()


def _underway(url: str, path: str) -> dict[str, object] | None:
    """The job once its process runs; None when it is done."""
    until = time.monotonic() + 120
    while True:
        job: dict[str, object] = httpx.get(url + path, timeout=30).json()
        if job["state"] == "done":
            return None
        if job["state"] == "running":
            return job
        assert time.monotonic() < until, job
        time.sleep(0.05)


def _sound(url: str, folder: Path) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        answer = recommended(client, "user-0000001")
        assert (answer["model"]["version"], answer["status"]) == (1, "ok"), "the model in use"
        for one in client.get("/v1/models/line/versions").json()["models"]:
            artifact.load(folder / "line" / str(one["version"]))  # whole, or this raises
