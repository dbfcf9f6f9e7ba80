"""Models: a training is asked for on the page, its curve grows, its version is judged, put into use and rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe

from tastemaker.store.base import Job
from tastemaker.store.sql import SqlStore

SMALL = '{"data": {"min_per_item": 20}, "model": {"name": "sasrec", "dim": 8, "max_length": 10}, "train": {"epochs": 3}}'


def row(tab: Tab, name: str) -> Any:
    return tab.get_by_role("row").filter(has=tab.page.get_by_role("button", name=name, exact=True))


def test_a_version_says_where_it_comes_from_and_what_the_gate_said(tab: Tab, shop: Shop) -> None:
    promoted = shop.get("/v1/models")["promoted"]
    detail = shop.get(f"/v1/models/{promoted['name']}/versions/{promoted['version']}")
    tab.open("models")
    assert "in use" in row(tab, f"{promoted['name']} {promoted['version']}").inner_text()
    gate = detail["facts"]["gate"]
    told = tab.locator("[data-part=gate]").inner_text()
    assert "Passed" in told and f"{gate['users_asked']:,} users" in told
    assert f"{gate['metrics']['candidate']['ndcg@10']['value']:.4f}" in told
    lineage = tab.locator("[data-part=lineage]").inner_text()
    assert detail["lineage"]["manifest"][:16] in lineage and f"{detail['lineage']['users']:,} users" in lineage
    axe(tab)


def test_the_course_of_a_training_is_kept_with_its_version(tab: Tab, shop: Shop) -> None:
    detail = shop.get("/v1/models/sasrec/versions/1")
    assert [one["epoch"] for one in detail["curve"]["epochs"]] == [1, 2] and detail["curve"]["metric"] == "ndcg@10"
    tab.open("models", version="sasrec/1")
    lineage = tab.locator("[data-part=lineage]").inner_text()
    assert detail["lineage"]["data"][:16] in lineage and detail["lineage"]["run"] in lineage and "tastemaker" in lineage
    table = tab.locator("#version table", has_text="Loss by epoch")
    assert f"{detail['curve']['epochs'][1]['loss']:.2f}" in table.text_content()


def test_a_training_from_the_page_is_live_judged_promoted_and_rolled_back(tab: Tab, shop: Shop) -> None:
    before = shop.get("/v1/models")["promoted"]
    tab.allowed = {409}  # the gate refuses what is worse
    tab.open("models")
    tab.get_by_role("button", name="Train a new version").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Model").select_option("sasrec")
    dialog.get_by_label("Settings").fill(SMALL)
    dialog.get_by_label("Put it into use if it passes the gate").uncheck()
    axe(tab)
    dialog.get_by_role("button", name="Train", exact=True).click()
    card = tab.locator("[data-job]")
    card.wait_for()
    job = card.get_attribute("data-job")
    tab.wait_for_selector("[data-job] .uplot", timeout=40_000)
    grown: list[int] = []
    while shop.get(f"/v1/jobs/{job}")["state"] in ("queued", "running"):
        records = shop.get(f"/v1/jobs/{job}/records")
        grown.append(len(records["steps"]) + len(records["epochs"]))
        tab.wait_for_timeout(150)
    assert grown == sorted(grown) and grown[-1] > grown[0]
    assert shop.get(f"/v1/jobs/{job}")["state"] == "done", shop.get(f"/v1/jobs/{job}")
    row(tab, "sasrec 2").wait_for(timeout=20_000)
    assert [one["epoch"] for one in shop.get(f"/v1/jobs/{job}/records")["epochs"]] == [1, 2, 3]
    row(tab, "sasrec 2").get_by_role("button").click()
    tab.get_by_role("heading", name="sasrec 2").wait_for()
    tab.get_by_role("button", name="Put into use", exact=True).click()
    tab.get_by_role("dialog").get_by_role("button", name="Put into use").click()
    tab.get_by_role("dialog").get_by_role("alert").wait_for(timeout=30_000)
    tab.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert shop.get("/v1/models")["promoted"] == before
    tab.get_by_role("button", name="Put into use anyway").click()
    reasons = shop.get("/v1/models/sasrec/versions/2")["facts"]["gate"]["reasons"]
    assert reasons and reasons[0] in tab.get_by_role("dialog").inner_text()
    tab.get_by_role("dialog").get_by_role("button", name="Put into use anyway").click()
    tab.locator("#version").get_by_text("in use", exact=True).wait_for()
    now = shop.get("/v1/models")["promoted"]
    assert (now["name"], now["version"], now["facts"]["forced"]) == ("sasrec", 2, True)
    tab.get_by_role("button", name="Roll back").click()
    assert f"{before['name']} {before['version']}" in tab.get_by_role("dialog").inner_text()
    tab.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    tab.get_by_text(f"{before['name']} {before['version']} is in use again").wait_for()
    assert shop.get("/v1/models")["promoted"]["name"] == before["name"]
    tab.open("jobs")
    assert "done" in tab.get_by_role("row", name="train sasrec").first.inner_text()
    axe(tab)
    tab.open("audit", action="models")
    actions = [one["action"] for one in shop.get("/v1/audit", action="models")["rows"]]
    assert actions[:3] == ["models.rollback", "models.promote", "models.train"]
    assert tab.get_by_role("table").locator("tbody tr td:nth-child(3)").all_inner_texts() == actions
    axe(tab)


def test_settings_that_do_not_hold_are_told_in_the_dialog(tab: Tab) -> None:
    tab.allowed = {422}
    tab.open("models")
    tab.get_by_role("button", name="Train a new version").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Settings").fill('{"model": {"name": "sasrec", "dims": 8}}')
    dialog.get_by_role("button", name="Train", exact=True).click()
    assert "dims" in dialog.get_by_role("alert").inner_text()
    dialog.get_by_label("Settings").fill("{")
    dialog.get_by_role("button", name="Train", exact=True).click()
    dialog.get_by_text("The settings are not JSON").wait_for()


def test_a_schedule_is_set_and_ended(tab: Tab, shop: Shop) -> None:
    tab.open("models")
    tab.get_by_label("Every so many hours").fill("48")
    tab.get_by_role("button", name="Set", exact=True).click()
    tab.get_by_role("button", name="End the schedule of").wait_for()
    (schedule,) = shop.get("/v1/schedules")["schedules"].values()
    assert schedule["every_hours"] == 48
    tab.get_by_role("button", name="End the schedule of").click()
    tab.get_by_text("Nothing is trained by itself").wait_for()
    assert shop.get("/v1/schedules")["schedules"] == {}


@pytest.mark.parametrize("page", ["models", "jobs", "keys", "audit", "system"])
def test_it_fits_a_phone_in_the_dark(page: str, open_tab: Callable[..., Tab], shop: Shop) -> None:
    phone = open_tab(shop.url, width=360, height=780, dark=True).open(page)
    assert phone.fits()
    axe(phone)


def test_the_system_page_says_what_the_api_says(tab: Tab, shop: Shop) -> None:
    tab.open("system")
    told = shop.get("/v1/system")
    text = tab.locator("main").inner_text()
    assert told["versions"]["torch"] in text and told["models"] in text
    tab.get_by_role("button", name="Count").click()
    tab.get_by_role("region", name="Rows by table").wait_for()
    events = shop.get("/v1/statistics")["events"]
    assert f"{events:,}" in tab.get_by_role("region", name="Rows by table").inner_text()
    axe(tab)


def test_hostile_words_of_jobs_and_actions_are_text(tab: Tab, shop: Shop) -> None:
    with SqlStore(str(shop.folder / "shop.db")) as store:  # as another process may write them
        store.audit("mallory", "models.train", {"name": HOSTILE})
        store.put_job(Job("train-hostile", "train", "failed", 1, 2, 0.0, {"name": HOSTILE, "error": HOSTILE}))
    tab.open("audit")
    tab.get_by_text(HOSTILE).first.wait_for()
    tab.open("jobs", state="failed")
    tab.get_by_role("button", name="train <img").click()
    assert HOSTILE in tab.locator("#job").inner_text()
    assert tab.locator("main img, main script").count() == 0
