"""The inspector: what it shows is what the API says, and every line for a shell asks the same."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe

USER = "12748"
FULL = ["properties", "score", "reasons"]


def ids(answer: Any) -> list[str]:
    return [one["item_id"] for one in answer["items"]]


def listed(tab: Tab, place: str) -> list[str]:
    """The items of the list in a part of the page, from the top."""
    tab.wait_for_selector(f"{place} .inspected li")
    tab.settled()
    return tab.evaluate(
        "(place) => [...document.querySelectorAll(`${place} ol.inspected li`)].map((one) => one.dataset.item)", place
    )


def request(user: str = USER, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "limit": 10, "include": FULL, **more}


def run(tab: Tab, place: str) -> Any:
    """What the copied line of a part answers when it is pasted into a shell."""
    tab.locator(place).get_by_role("button", name="curl").first.click()
    tab.get_by_role("button", name="Copied").first.wait_for()
    line = tab.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["bash", "-c", line.replace("curl ", "curl -sS ", 1)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def versions(shop: Shop) -> tuple[dict[str, Any], dict[str, Any]]:
    """The version in use, and another."""
    told = shop.get("/v1/models")
    current = {name: told["promoted"][name] for name in ("name", "version")}
    known = [{name: one[name] for name in ("name", "version")} for one in told["models"]]
    return current, next(one for one in known if one != current)


def test_versions_stand_side_by_side_as_the_service_answers(tab: Tab, shop: Shop, versions: Any) -> None:
    current, other = versions
    tab.open("inspector", user=USER)
    place, beside = (f"[data-version='{one['name']}/{one['version']}']" for one in versions)
    assert listed(tab, place) == ids(shop.post("/v1/recommendations", request()))
    tab.get_by_label("Add a version").select_option(f"{other['name']}/{other['version']}")
    shown = listed(tab, beside)
    told = shop.post("/v1/compare", {"versions": [current, other], "request": request()})["columns"][1]
    assert shown == ids(told["answer"]) != listed(tab, place)
    assert f"{round(100 * told['overlap'])} %" in tab.locator(f"{beside} > p").first.inner_text()
    moves = tab.locator(f"{beside} .inspected li").all_inner_texts()
    for words, move in zip(moves, told["moves"], strict=True):
        assert ("new" in words) if move is None else (str(abs(move)) in words or "=" in words)
    assert f"versions={other['name']}%2F{other['version']}" in tab.evaluate("location.href")
    assert ids(run(tab, place)["columns"][0]["answer"]) == listed(tab, place)
    assert ids(run(tab, beside)["columns"][0]["answer"]) == shown
    axe(tab)
    tab.get_by_role("button", name=f"Remove {other['name']}").click()
    tab.locator(beside).wait_for(state="detached")


def test_a_shared_item_is_marked_in_all_lists(tab: Tab, shop: Shop, versions: Any) -> None:
    current, other = versions
    told = shop.post("/v1/compare", {"versions": [current, other], "request": request(limit=50)})["columns"]
    shared = next(iter(set(ids(told[0]["answer"])) & set(ids(told[1]["answer"]))))
    tab.open("inspector", user=USER, limit="50", versions=f"{other['name']}/{other['version']}")
    row = tab.locator(f"[data-part=columns] li[data-item='{shared}']")
    row.nth(1).wait_for()
    assert "on all lists" in row.nth(0).inner_text()
    row.nth(0).hover()
    lit = tab.locator("[data-part=columns] li.lit")
    lit.nth(1).wait_for()
    assert [lit.nth(at).get_attribute("data-item") for at in range(lit.count())] == [shared, shared]
    tab.mouse.move(0, 0)
    lit.first.wait_for(state="detached")
    row.nth(1).get_by_role("button").focus()
    lit.nth(1).wait_for()


def test_a_version_that_is_not_there_has_its_problem_and_the_other_answers(tab: Tab, shop: Shop, versions: Any) -> None:
    tab.open("inspector", user=USER, versions="nobody/7")
    assert "no version 7" in tab.locator("[data-version='nobody/7'] [role=alert]").inner_text()
    current = versions[0]
    assert listed(tab, f"[data-version='{current['name']}/{current['version']}']")


def test_why_and_why_not_are_what_explain_says(tab: Tab, shop: Shop) -> None:
    tab.open("inspector", user=USER)
    answer = shop.post("/v1/recommendations", request())
    best = answer["items"][0]["item_id"]
    tab.locator(f"[data-part=columns] li[data-item='{best}']").get_by_role("button", name="Why").click()
    _explained(tab, shop, best, "On the list, at rank 1.")
    seen = shop.get("/v1/events", user_id=USER, limit=1)["events"][0]["item_id"]
    tab.locator(f"[data-part=timeline] li[data-item='{seen}']").first.get_by_role("button", name="Why").click()
    trace = _explained(tab, shop, seen, "Not on the list: stopped at “Already seen”.")
    assert next(one["stage"] for one in trace["steps"] if not one["passed"]) == "seen"
    far = shop.get("/v1/popular", limit=100)["items"][-1]["item_id"]
    tab.get_by_role("combobox", name="An item", exact=True).fill(far)
    tab.locator("#why [role=option]").first.click()
    tab.locator(f"[data-part=trace][data-item='{seen}']").wait_for(state="detached")
    picked = tab.locator("[data-part=trace]").get_attribute("data-item")
    assert picked and f"item={picked}" in tab.evaluate("location.hash")
    _explained(tab, shop, picked)
    axe(tab)


def _explained(tab: Tab, shop: Shop, item: str, verdict: str = "") -> Any:
    tab.locator(f"[data-part=trace][data-item='{item}']").wait_for()
    tab.settled()
    trace = shop.post("/v1/explain", {"user_id": USER, "item_id": item, "request": {"user_id": USER, "limit": 10}})
    trace_box = tab.locator("[data-part=trace]")
    assert verdict in trace_box.inner_text()
    steps = tab.locator(".stages li")
    told = [(steps.nth(at).get_attribute("data-stage"), steps.nth(at).get_attribute("class")) for at in range(steps.count())]
    assert told == [(one["stage"], "passed" if one["passed"] else "stopped") for one in trace["steps"]]
    for words, one in zip(steps.all_inner_texts(), trace["steps"], strict=True):
        assert one["detail"] in words
    assert tab.locator("[data-part=reasons] li").count() == len(trace["reasons"])
    pasted = run(tab, "#why")
    assert {**pasted, "features": None} == {**trace, "features": None}
    return trace


def test_what_if_is_what_a_session_of_these_events_gets(tab: Tab, shop: Shop) -> None:
    user = "13047"
    events = shop.get("/v1/events", user_id=user, limit=1000)["events"][::-1]
    before = shop.get("/v1/statistics")
    tab.open("inspector", user=user)
    tab.get_by_role("button", name="Edit the history").click()
    assert listed(tab, "[data-part=real]") == ids(shop.post("/v1/recommendations", request(user)))
    newest = tab.locator("[data-part=edit] .inspected li").first
    assert newest.get_attribute("data-item") == events[-1]["item_id"]
    newest.get_by_role("button", name="Remove").click()
    _session(tab, shop, events[:-1])
    tab.get_by_role("combobox", name="Add an item").fill("heart")
    tab.locator("#what-if [role=option]").first.click()
    added = tab.locator("[data-part=edit] .inspected li").first
    assert "(added)" in added.inner_text()
    more = {"item_id": added.get_attribute("data-item"), "type": "view"}
    _session(tab, shop, [*events[:-1], more])
    added.get_by_role("button", name="Earlier").click()
    _session(tab, shop, [*events[:-2], more, events[-2]])
    second = tab.locator("[data-part=edit] .inspected li").nth(1)
    second.get_by_role("combobox").select_option("dislike")
    shown = _session(tab, shop, [*events[:-2], events[-2]], exclude_item_ids=[more["item_id"]])
    link = tab.evaluate("location.href")
    assert ids(run(tab, "[data-part=edited]")) == shown
    axe(tab)
    tab.goto("about:blank")
    tab.goto(link)
    assert listed(tab, "[data-part=edited]") == shown
    tab.get_by_role("button", name="Reset").click()
    tab.get_by_text("Nothing is edited yet").wait_for()
    assert "edit=" not in tab.evaluate("location.href")
    after = shop.get("/v1/statistics")
    assert before["events"] == after["events"]


def _session(tab: Tab, shop: Shop, events: Any, **more: Any) -> list[str]:
    """The list shown, after it was compared with the one of a session; what changed is said in words."""
    told = [{"item_id": one["item_id"], "type": one["type"]} for one in events]
    expected = shop.post("/v1/sessions/recommendations", {"limit": 10, "include": FULL, **more, "events": told})
    tab.wait_for_function(
        "(ids) => [...document.querySelectorAll('[data-part=edited] ol li')].map((one) => one.dataset.item).join() === ids",
        arg=",".join(ids(expected)),
    )
    shown, real = listed(tab, "[data-part=edited]"), listed(tab, "[data-part=real]")
    gone = [one for one in real if one not in shown]
    fresh = len(set(shown) - set(real))
    marked = [words for words in tab.locator("[data-part=edited] ol li").all_inner_texts() if "+ new" in words]
    assert len(marked) == fresh and tab.locator("[data-part=gone] li").count() == len(gone)
    return shown


def test_a_history_that_is_edited_and_says_the_same_makes_the_same_list(tab: Tab, shop: Shop) -> None:
    """Of a long history the newest events are read; a second event of the oldest item, at its very beginning, changes nothing."""
    user = "17920"
    events = shop.get("/v1/events", user_id=user, limit=1000)["events"]
    reads = shop.post("/v1/compare", {"request": request(user)})["columns"][0]["reads"]
    assert reads < len(events) < 1000
    tab.open("inspector", user=user, edit=f"+view:{events[-1]['item_id']},0-{len(events)}")
    assert listed(tab, "[data-part=edited]") == listed(tab, "[data-part=real]")
    assert f"the newest {reads} events" in tab.locator("#what-if").inner_text()
    assert "The list stays as it is" in tab.locator("[data-part=edited]").inner_text()


def test_the_profile_and_the_timeline_are_those_of_the_store(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/users/13047", json={"properties": {"city": "Rome", "age": 7}})
    tab.open("inspector", user="13047")
    events = shop.get("/v1/events", user_id="13047", limit=25)["events"]
    tab.locator("[data-part=timeline] li").first.wait_for()
    rows = tab.evaluate(
        "[...document.querySelectorAll('[data-part=timeline] li')].map((one) => [one.dataset.item, one.dataset.type])"
    )
    assert rows == [[one["item_id"], one["type"]] for one in events]
    tab.get_by_role("button", name="Older events").click()
    tab.wait_for_function("() => document.querySelectorAll('[data-part=timeline] li').length > 25")
    assert tab.locator("[data-part=summary]").inner_text() == shop.get("/v1/users/13047/summary")["text"]
    assert "Rome" in tab.locator(".facts").inner_text()
    alike = shop.get("/v1/users/13047/similar", limit=6)["users"]
    assert tab.locator("[data-part=similar] li a").all_inner_texts() == [one["user_id"] for one in alike]
    assert run(tab, "[data-part=similar]")["users"] == alike


def test_hostile_words_are_text(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/items/hostile", json={"properties": {"description": HOSTILE}})
    shop.client.put("/v1/users/victim", json={"properties": {HOSTILE: HOSTILE}})
    shop.post("/v1/events", {"events": [{"user_id": "victim", "item_id": "hostile"}]})
    tab.open("inspector", user="victim", item="hostile", edit="0,+view:hostile,+view:a'b,+%3Cimg%3E:x,%,7")
    assert tab.locator("[data-part=timeline] li[data-item=hostile] a").inner_text() == HOSTILE
    assert HOSTILE in tab.locator(".facts").inner_text()
    assert tab.locator("[data-part=edit] .inspected li").count() == 3
    assert run(tab, "[data-part=edited]")["items"]
    assert tab.locator("main img, main script").count() == 0


def test_nobody_and_a_stranger_are_told_what_to_do(tab: Tab, shop: Shop) -> None:
    tab.open("inspector")
    first = shop.get("/v1/users", limit=1)["users"][0]["user_id"]
    tab.get_by_text("Whom to look at?").wait_for()
    axe(tab)
    tab.get_by_role("button", name=first, exact=True).click()
    tab.wait_for_function("(user) => location.hash.includes(`user=${user}`)", arg=first)
    tab.open("inspector", user="a stranger")
    tab.get_by_text("No event of “a stranger” is in the store").wait_for()
    tab.get_by_text("it is what is popular").wait_for()


def test_it_fits_a_phone_in_the_dark(phone: Tab, versions: Any) -> None:
    other = versions[1]
    item = "22423"
    phone.open("inspector", user=USER, versions=f"{other['name']}/{other['version']}", item=item, edit="0-30")
    phone.wait_for_selector("[data-part=edited] .inspected li")
    phone.wait_for_selector("[data-part=similar] li")
    assert phone.fits()
    axe(phone)
