"""Runs over HTTP: what the report file says, and no comparison of what cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve import judged
from tests.serve.serving import Server, serving

from tastemaker.experiment.compare import compare_runs
from tastemaker.experiment.ledger import Ledger, Run
from tastemaker.experiment.result import RunResult
from tastemaker.recommend import artifact
from tastemaker.serve.registry import Registry

HOSTILE = '<img src=x onerror="1">'


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    return judged.runs(tmp_path_factory.mktemp("judged") / "runs")


@pytest.fixture(scope="module")
def server(results: list[RunResult], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    runs, folder = results[0].folder.parent, tmp_path_factory.mktemp("town")
    ledger = Ledger(runs)
    ledger.begin(Run("failed-run", runs / "events.csv", HOSTILE, "0", 5.0, tuning="search"))
    ledger.fail("failed-run", "out of memory")
    with serving(folder, runs=runs) as found:
        registry = Registry(found.store, folder / "models")
        registry.add(results[1].artifact, "ease")
        bare = artifact.save(found.service.view.recommender, folder / "bare", metrics={"ndcg@10": 0.25})
        registry.add(bare, "bare")
        yield found


def asked(server: Server, path: str, **query: Any) -> Any:
    answer = server.client.get(path, params=query)
    assert answer.is_success, answer.text
    return answer.json()


def test_runs_are_paged_newest_first_with_the_versions_among_them(server: Server, results: list[RunResult]) -> None:
    whole = asked(server, "/v1/runs")["runs"]
    assert {one["run_id"] for one in whole} == {*(one.id for one in results), "failed-run", "bare@1"}
    assert [one["started"] for one in whole] == sorted((one["started"] for one in whole), reverse=True)
    paged, cursor = [], None
    while True:
        page = asked(server, "/v1/runs", limit=2, **({"cursor": cursor} if cursor else {}))
        assert len(page["runs"]) <= 2
        paged += page["runs"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert paged == whole
    assert server.client.get("/v1/runs", params={"cursor": "x"}).status_code == 400


def test_runs_are_filtered(server: Server, results: list[RunResult]) -> None:
    assert {one["run_id"] for one in asked(server, "/v1/runs", model="item_knn")["runs"]} == {
        results[0].id,
        results[2].id,
        "bare@1",
    }
    assert [one["run_id"] for one in asked(server, "/v1/runs", tuning="search")["runs"]] == ["failed-run"]
    assert [one["error"] for one in asked(server, "/v1/runs", status="removed")["runs"]] == ["out of memory"]


def test_a_report_is_that_of_the_file(server: Server, results: list[RunResult]) -> None:
    told = json.loads((results[1].folder / "report.json").read_text())
    found = asked(server, f"/v1/runs/{results[1].id}")
    assert found["versions"] == [{"name": "ease", "version": 1}] and found["data"] == told["data"]["fingerprint"]
    for metric, value in told["test"]["metrics"].items():
        mine, rival = (one for one in found["figures"] if one["metric"] == metric)
        assert (mine["name"], mine["value"]) == ("ease", value) and [mine["low"], mine["high"]] == told["test"]["intervals"][
            metric
        ]
        tested = told["comparison"]["metrics"][metric]["popularity (baseline)"]
        assert (rival["name"], rival["p"], rival["verdict"]) == ("popularity", tested["p_holm"], tested["verdict"] or "same")
        assert rival["difference"] == tested["difference"]
    assert found["beyond"]["ease"] == told["test"]["beyond"]
    light = next(one for one in found["segments"] if one["name"] == "users/light")
    assert light["count"] == told["test"]["segments"]["users/light"]["count"] and light["few"]
    assert any("last event" in words for words in found["protocol"])


def test_a_version_without_a_run_tells_what_its_manifest_does(server: Server) -> None:
    found = asked(server, "/v1/runs/bare@1")
    assert found["told"] == "manifest" and [(one["metric"], one["value"]) for one in found["figures"]] == [("ndcg@10", 0.25)]
    assert server.client.get("/v1/runs/none").status_code == 404


def test_runs_judged_alike_are_paired_as_the_command_does(server: Server, results: list[RunResult]) -> None:
    ids = [results[0].id, results[1].id]
    found = server.client.post("/v1/runs:compare", json={"run_ids": ids}).json()
    expected = compare_runs([one.folder for one in results[:2]]).to_dict()
    assert found["comparable"] and found["reference"] == ids[0] and found["reasons"] == []
    for one in found["figures"]:
        row = expected["metrics"][one["metric"]][results[ids.index(one["name"])].report["model"]]
        assert (one["value"], one["p"], [one["low"], one["high"]]) == (row["value"], row["p_holm"], row["interval"])
    for metric in {one["metric"] for one in found["figures"]}:
        first, second = (one for one in found["figures"] if one["metric"] == metric)
        apart = second["verdict"] != "same"
        assert (first["best"], second["best"]) == (
            apart and second["verdict"] == "worse",
            apart and second["verdict"] == "better",
        )
    assert found["settings"]["model.name"] == {ids[0]: "item_knn", ids[1]: "ease"} and "split.kind" not in found["settings"]


def test_runs_judged_otherwise_are_not_compared(server: Server, results: list[RunResult]) -> None:
    found = server.client.post("/v1/runs:compare", json={"run_ids": [results[0].id, results[2].id]}).json()
    assert not found["comparable"] and found["figures"] == [] and found["beyond"] == {}
    assert any("split" in reason for reason in found["reasons"])
    twice = server.client.post("/v1/runs:compare", json={"run_ids": [results[0].id] * 2})
    bare = server.client.post("/v1/runs:compare", json={"run_ids": [results[0].id, "bare@1"]})
    assert (twice.status_code, bare.status_code) == (422, 409)


def test_a_version_is_compared_after_the_folder_of_its_run_is_gone(tmp_path: Path) -> None:
    first, second, _ = judged.runs(tmp_path / "runs")
    with serving(tmp_path, model=False) as found:
        registry = Registry(found.store, tmp_path / "models")
        for name, result in (("one", first), ("two", second)):
            registry.add(result.artifact, name)
        (tmp_path / "runs").rename(tmp_path / "away")
        compared = found.client.post("/v1/runs:compare", json={"run_ids": [first.id, second.id]}).json()
    assert compared["comparable"] and compared["models"] == {first.id: "item_knn", second.id: "ease"}
