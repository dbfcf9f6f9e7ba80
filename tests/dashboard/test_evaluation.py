"""The evaluation: figures are those of the report file, runs are paired as the command does, and what cannot be compared is not."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe, moved, opened
from tests.serve import judged

from tastemaker.experiment.ledger import Ledger, Run

NAME = '<img src=x onerror="window.hacked=4">'


@pytest.fixture(scope="module")
def shop(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The demo's shop with more runs in its ledger: three small ones and one whose name and words are hostile."""
    folder = tmp_path_factory.mktemp("judged") / "demo"
    shutil.copytree(demo, folder)
    moved(folder / "shop.db", demo, folder)
    judged.runs(folder.parent / "small")
    with sqlite3.connect(folder / "shop.db") as base:  # the baseline in use is of the same run
        run = json.loads((folder / "run" / "report.json").read_text())["run"]
        base.execute("update models set facts = json_set(facts, '$.run', ?)", (run,))
    base.close()
    ledger = Ledger(folder.parent)
    with sqlite3.connect(ledger.path) as base:
        base.execute("attach ? as small", (str(folder.parent / "small" / "ledger.db"),))
        base.execute("insert into runs select * from small.runs")
    base.close()
    ledger.begin(Run(NAME, folder.parent / "nowhere", HOSTILE, "0", 5.0))
    ledger.fail(NAME, HOSTILE)
    yield from opened(folder)


@pytest.fixture(scope="module")
def report(shop: Shop) -> dict[str, Any]:
    """The report file of the demo's run."""
    return json.loads((shop.folder / "run" / "report.json").read_text())


def small(shop: Shop) -> list[str]:
    """The ids of the small runs: two that can be compared, then one that was judged otherwise."""
    return [
        json.loads((shop.folder.parent / "small" / name / "report.json").read_text())["run"]
        for name in ("neighbours", "ease", "other")
    ]


def side_by_side(tab: Tab, ids: list[str]) -> Tab:
    tab.open("evaluation", run=ids[0], compare=",".join(ids))
    tab.wait_for_selector("#compared")
    return tab


def cells(tab: Tab, caption: str) -> list[list[str]]:
    """The rows of a table by its caption."""
    script = """(caption) => [...[...document.querySelectorAll('table')].find((one) => one.caption?.textContent === caption).tBodies[0].rows]
        .map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"""
    return tab.evaluate(script, caption)


def test_figures_and_verdicts_are_those_of_the_report_file(tab: Tab, shop: Shop, report: dict[str, Any]) -> None:
    tab.open("evaluation", run=report["run"])
    tab.wait_for_selector("#report")
    rows = {(metric, name): rest for metric, name, *rest in cells(tab, "Figures of the report")}
    sides = {report["model"]: report["test"], **{name: one["test"] for name, one in report["baselines"].items()}}
    assert set(rows) == {(metric, name) for name, side in sides.items() for metric in side["metrics"]}
    words = {"better": "significantly better", "worse": "significantly worse", None: "not significant"}
    for (metric, name), (value, bounds, difference, _, verdict) in rows.items():
        low, high = sides[name]["intervals"][metric]
        assert value == f"{sides[name]['metrics'][metric]:.4f}" and f"{low:.4f}" in bounds and f"{high:.4f}" in bounds
        if name != report["model"]:
            tested = report["comparison"]["metrics"][metric][f"{name} (baseline)"]
            assert difference == f"{tested['difference']:+.4f}" and verdict == words[tested["verdict"]]
    worst = tab.locator("[data-metric='ndcg@10']").inner_text()
    for name in report["baselines"]:
        assert name in worst
    assert tab.locator("#report").inner_text().count(f"{report['protocol']['items_ranked']:,} items")
    axe(tab)


def test_without_a_run_in_the_address_one_with_figures_is_shown(tab: Tab, shop: Shop) -> None:
    tab.open("evaluation")
    tab.wait_for_selector("#report")
    listed = [one for one in shop.get("/v1/runs")["runs"] if one["told"] != "nothing"]
    expected = next((one for one in listed if one["in_use"]), listed[0])
    assert tab.locator("#report h2").inner_text() == expected["run_id"]
    tab.get_by_label("Model", exact=True).fill("ease")
    tab.get_by_label("Model", exact=True).press("Enter")
    tab.wait_for_function("location.hash.includes('model=ease')")
    tab.settled()
    shown = [row[2] for row in cells(tab, "Runs, newest first")]
    assert shown and set(shown) == {"ease"}


def test_segments_tell_how_few_there_are(tab: Tab, shop: Shop) -> None:
    run = small(shop)[0]
    found = shop.get(f"/v1/runs/{run}")
    metric = found["figures"][0]["metric"]
    tab.open("evaluation", run=run)
    tab.wait_for_selector("#report")
    rows = cells(tab, f"{metric} by segment")
    expected = [one for one in found["segments"] if any(figure["metric"] == metric for figure in one["figures"])]
    assert [row[0].replace(" ", "_") for row in rows] == [one["name"].replace("/", ": ").replace(" ", "_") for one in expected]
    assert ["few" in row[1].split() for row in rows] == [one["few"] for one in expected] and any(one["few"] for one in expected)
    assert [row[1].split()[0] for row in rows] == [str(one["count"]) for one in expected]


def test_one_metric_against_another_marks_what_nothing_beats(tab: Tab, report: dict[str, Any]) -> None:
    tab.open("evaluation", run=report["run"], x="novelty@10", y="recall@10")
    tab.wait_for_selector("#tradeoff")
    sides = {report["model"]: report["test"], **{name: one["test"] for name, one in report["baselines"].items()}}
    at = {name: (side["beyond"]["novelty@10"], side["metrics"]["recall@10"]) for name, side in sides.items()}
    front = {
        name
        for name, one in at.items()
        if not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in at.values())
    }
    rows = cells(tab, "recall@10 and novelty@10")
    assert {row[0] for row in rows if row[3] == "yes"} == front and {row[0] for row in rows} == set(sides)
    assert tab.locator("#tradeoff svg circle[r='9']").count() == len(front)
    tab.get_by_label("Across").select_option("coverage@10")
    tab.wait_for_function("location.hash.includes('x=coverage')")


def test_runs_are_paired_as_the_command_does(tab: Tab, shop: Shop) -> None:
    ids = small(shop)[:2]
    command = [sys.executable, "-m", "tastemaker", "compare", "--json"]
    folders = [str(shop.folder.parent / "small" / name) for name in ("neighbours", "ease")]
    told = json.loads(subprocess.run([*command, *folders], stdout=subprocess.PIPE, text=True, check=True).stdout)
    side_by_side(tab, ids)
    rows = cells(tab, "Metrics of the runs")
    metrics = told["metrics"]
    assert {row[0].split()[0] for row in rows} == {name.replace("_", " ") for name in metrics}
    for row in rows:
        first, second = metrics[row[0].split()[0]].values()
        assert row[1].startswith(f"{first['value']:.4f}") and row[2].startswith(f"{second['value']:.4f}")
        assert ("best" in row[1], "best" in row[2]) == (second["verdict"] == "worse", second["verdict"] == "better")
    settings = {row[0]: row[1:] for row in cells(tab, "Settings that differ")}
    assert settings["model.name"] == ["item_knn", "ease"] and "split.kind" not in settings
    axe(tab)


def test_what_was_judged_otherwise_is_refused_with_the_reason(tab: Tab, shop: Shop) -> None:
    ids = [small(shop)[place] for place in (0, 2)]
    side_by_side(tab, ids)
    told = tab.locator("#compared").inner_text()
    assert "cannot be compared" in told
    for reason in shop.post("/v1/runs:compare", {"run_ids": ids})["reasons"]:
        assert reason in told
    assert tab.evaluate("![...document.querySelectorAll('caption')].some((one) => one.textContent === 'Metrics of the runs')")


def test_boxes_choose_what_is_compared(tab: Tab, shop: Shop) -> None:
    ids = small(shop)[:2]
    tab.open("evaluation", run=ids[0])
    for run in ids:
        tab.get_by_label(f"Compare {run}").check()
    tab.wait_for_selector("#compared")
    tab.locator("#compared").get_by_role("button", name="Close").click()
    tab.wait_for_selector("#compared", state="detached")


def test_figures_come_as_files(tab: Tab, shop: Shop, report: dict[str, Any]) -> None:
    tab.open("evaluation", run=report["run"])
    told = shop.get(f"/v1/runs/{report['run']}")
    with tab.expect_download() as download:
        tab.locator("#report").get_by_role("button", name="JSON").click()
    assert json.loads(Path(download.value.path()).read_text()) == told
    with tab.expect_download() as download:
        tab.locator("#report").get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [(row["metric"], row["name"], float(row["value"])) for row in rows] == [
        (one["metric"], one["name"], one["value"]) for one in told["figures"]
    ]


def test_hostile_names_and_words_stay_text(tab: Tab) -> None:
    tab.open("evaluation", run=NAME)
    tab.get_by_text(HOSTILE).first.wait_for()
    assert tab.locator("main h2", has_text=NAME).count() == 1
    assert tab.locator("main img, main script").count() == 0


def test_online_stands_beside_the_figure_of_the_same_model(tab: Tab, shop: Shop, report: dict[str, Any]) -> None:
    for user in shop.get("/v1/users", limit=5)["users"]:
        shop.post("/v1/recommendations", {"user_id": user["user_id"], "limit": 3})
    for _ in range(60):
        counted = {one["name"]: one["answers"] for one in shop.get("/v1/overview")["by_model"]}
        if counted.get("ease/1"):
            break
        time.sleep(0.25)
    tab.open("evaluation", run=report["run"])
    tab.get_by_text("Online beside offline").wait_for()
    metric = next(iter(report["test"]["metrics"]))
    value = report["baselines"]["ease"]["test"]["metrics"][metric]
    (row,) = (one for one in cells(tab, "Click-through beside the offline figure") if one[0] == "ease/1")
    assert row[3].startswith(f"{value:.3f}"), row


def test_it_fits_a_phone_in_the_dark(phone: Tab, shop: Shop) -> None:
    side_by_side(phone, small(shop)[:2])
    assert phone.fits()
    axe(phone)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A service without a model or a run."""
    folder = tmp_path_factory.mktemp("bare") / "shop"
    folder.mkdir()
    yield from opened(folder)


def test_without_a_run_it_says_how_to_make_one(bare: Shop, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(bare.url)
    tab.open("evaluation")
    tab.get_by_text("No run yet").wait_for()
    assert "tastemaker train" in tab.locator("main").inner_text()
    axe(tab)
