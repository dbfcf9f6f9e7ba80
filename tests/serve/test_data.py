"""The data as a whole: the report is that of the command line, intake is what came, refusals say why."""

from __future__ import annotations

import ast
import inspect
import time
from pathlib import Path

import pytest
from tests.serve import towns
from tests.serve.serving import serving

from tastemaker.errors import RequestError
from tastemaker.experiment.explore import explore
from tastemaker.experiment.result import plain
from tastemaker.experiment.snapshot import exported
from tastemaker.serve import describing, ids, intake, times
from tastemaker.serve.refusals import REFUSALS
from tastemaker.serve.registry import Registry
from tastemaker.serve.runner import JobSettings, Runner


def test_the_report_of_a_job_is_that_of_the_command_line(tmp_path: Path) -> None:
    with towns.town(tmp_path / "town.db") as store:
        assert describing.quality(store).report is None
        registry = Registry(store, tmp_path / "models")
        runner = Runner(registry, JobSettings.parse({"poll_seconds": 0.05}), url=str(tmp_path / "town.db")).start()
        try:
            job = describing.ask(store)
            with pytest.raises(RequestError, match="under way"):
                describing.ask(store)
            assert describing.quality(store).job_id == job.job_id
            until = time.monotonic() + 90
            while store.job(job.job_id).state in ("queued", "running") and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            runner.stop()
        assert store.job(job.job_id).state == "done", store.job(job.job_id)
        found = describing.quality(store)
        exported(store, tmp_path / "data")
        imported, report = explore(str(tmp_path / "data"))
        assert found.report["import"]["accepted"] == imported.accepted
        assert {k: v for k, v in found.report.items() if k != "import"} == plain(report.to_dict())
        assert (found.events_since, found.job_id) == (0, None)
        assert sum(one.count for one in found.plots.per_user) == report.users
        assert sum(one.count for one in found.plots.over_time) == report.interactions


def test_intake_counts_what_came_and_what_was_refused(tmp_path: Path) -> None:
    with serving(tmp_path, model=False) as server:
        before = server.store.last_sequence()
        good = {"user_id": "u2", "item_id": "i2", "type": "purchase", "event_id": "e1", "timestamp": "2026-01-05T10:20:00Z"}
        bad = {"item_id": "i2", "user_id": "u2", "timestamp": 5}
        server.client.post("/v1/events", json={"events": [good, good, bad, {"item_id": "i2"}, bad]})
        after = server.client.get("/v1/data/intake").json()
        assert (after["accepted"], after["duplicates"], after["rejected"]) == (1, 1, 3)
        assert after["counted"] == before + 1
        assert after["kinds"]["purchase"][after["hours"].index("2026-01-05T10:00:00Z")] == 1
        assert [(one["code"], one["count"]) for one in after["refused"]] == [("too_old", 2), ("no_user", 1)]
        assert all(one["why"] and one["hint"] for one in after["refused"])
        letters = server.client.get("/v1/dead-letters?code=too_old").json()["rows"]
        assert [one["raw"]["timestamp"] for one in letters] == [5, 5]


def test_every_reason_is_explained() -> None:
    codes = set()
    for module in (intake, ids, times):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                codes.add(node.value.value)
            if (
                isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "code"
                and isinstance(node.value, ast.Constant)
            ):
                codes.add(node.value.value)
    assert codes and codes <= REFUSALS.keys(), codes - REFUSALS.keys()
