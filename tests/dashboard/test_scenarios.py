"""The page of scenarios: from a new name to rules in force and back, seen in what the API answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe
from tests.serve import shops
from tests.serve.serving import Server, running, serving
from tests.serve.worlds import opened

from tastemaker.serve.auth import new_key


@pytest.fixture(autouse=True)
def bare(shop: Shop) -> Iterator[None]:
    """No scenario is left behind."""
    yield
    for one in shop.get("/v1/scenarios")["scenarios"]:
        shop.client.delete(f"/v1/scenarios/{one['name']}")


def shown(shop: Shop, user: str, **request: Any) -> list[str]:
    answer = shop.post("/v1/recommendations", {"user_id": user, "scenario": "home", **request})
    return [item["item_id"] for item in answer["items"]]


def published(shop: Shop, rules: dict[str, Any], name: str = "home") -> None:
    assert shop.client.put(f"/v1/scenarios/{name}", json={"rules": rules}).is_success
    shop.post(f"/v1/scenarios/{name}:publish", {})


def somebody(shop: Shop) -> str:
    """A user that a preview draws."""
    return shop.post("/v1/scenarios/home:preview", {"rules": {}, "users": 1})["users"][0]["user_id"]


def findable(shop: Shop, words: str) -> str:
    """The words, once the service has read the catalogue for its search."""
    for _ in range(100):
        if shop.get("/v1/items", query=words, limit=1)["items"]:
            return words
        time.sleep(0.1)
    raise AssertionError(words)


def test_a_scenario_is_made_previewed_published_and_rolled_back(tab: Tab, shop: Shop) -> None:
    user = somebody(shop)
    before = shown(shop, user)
    tab.open("scenarios")
    assert tab.get_by_text("No scenario yet").is_visible()
    tab.get_by_role("button", name="New scenario").first.click()
    tab.get_by_label("Name").fill("9 lives")
    tab.get_by_role("button", name="Make it").click()
    assert "A letter" in tab.get_by_role("alert").inner_text()
    tab.get_by_label("Name").fill("home")
    tab.get_by_role("button", name="Make it").click()
    tab.get_by_label("Only items that match").fill("price < $most")
    tab.get_by_label("$most").fill("2")
    told = shop.post("/v1/scenarios:check", {"filter": "price < 2"})["matches"][0]
    words = f"{told['matches']:,} of {told['available']:,} items that may be shown match"
    tab.get_by_text(words).wait_for()
    words = findable(shop, shop.get(f"/v1/items/{before[3]}")["properties"]["description"])
    tab.get_by_role("combobox", name="Pin an item").fill(words)
    tab.locator(".listbox:not([hidden]) [role=option]").first.click()
    tab.get_by_label("Items of a list").fill("7")
    tab.get_by_text("not saved").wait_for()
    assert shown(shop, user) == before, "what is typed is nobody's rule"
    tab.get_by_role("button", name="Save draft").click()
    tab.get_by_text("draft waits").wait_for()
    draft = shop.get("/v1/scenarios/home")["draft"]
    assert draft == {
        "filter": "price < $most",
        "parameters": {"most": 2},
        "pins": [{"item_id": draft["pins"][0]["item_id"], "position": 1}],
        "limit": 7,
    }
    assert shown(shop, user) == before, "a draft is not in force"

    tab.get_by_role("tab", name="Preview").click()
    tab.get_by_label("Or these users").fill(user)
    tab.get_by_role("button", name="Preview", exact=True).click()
    tab.locator("[data-totals]").wait_for()
    preview = shop.post("/v1/scenarios/home:preview", {"user_ids": [user]})
    totals = preview["totals"]
    assert f"{totals['changed']} of {totals['slots']}" in tab.locator("[data-totals]").inner_text()
    sides = tab.locator("[data-user] ol")
    expected = preview["users"][0]
    for side, rows in zip((sides.nth(0), sides.nth(1)), (expected["before"], expected["after"]), strict=True):
        ids = side.locator("li").evaluate_all("rows => rows.map((row) => row.dataset.item)")
        assert ids == [row["item_id"] for row in rows]
    assert [row["item_id"] for row in expected["before"]] == before
    gone = [row["item_id"] for row in expected["before"] if "other_rank" not in row]
    assert sides.nth(0).get_by_text("gone").count() == len(gone)
    assert "pinned" in sides.nth(1).locator("li").first.inner_text()

    tab.get_by_role("button", name="Publish…").click()
    said = tab.locator("[data-effect]").inner_text()
    all_of_them = shop.post("/v1/scenarios/home:preview", {})["totals"]
    assert said.startswith(f"{all_of_them['changed']} of {all_of_them['slots']} places")
    tab.get_by_role("button", name="Publish", exact=True).click()
    tab.get_by_text("version 1 in force").wait_for()
    after = shown(shop, user)
    assert after == [row["item_id"] for row in expected["after"]] and len(after) == 7
    assert (
        tab.get_by_role("button", name="Filter:")
        .get_attribute("aria-label")
        .startswith(f"Filter: {told['matches']} items match")
    )

    tab.get_by_role("button", name="Roll back…").click()
    tab.locator("[data-effect]").wait_for()
    tab.get_by_role("button", name="Roll back", exact=True).click()
    tab.get_by_text("not in force", exact=True).wait_for()
    assert shown(shop, user) == before
    tab.get_by_role("tab", name="History").click()
    tab.get_by_text("rolled back").wait_for()
    assert "price < $most" in tab.locator(".changes").inner_text()
    tab.get_by_role("button", name="Take into the editor").click()
    assert tab.get_by_label("Only items that match").input_value() == "price < $most"


def test_a_stage_of_the_picture_leads_to_its_rules(tab: Tab, shop: Shop) -> None:
    published(shop, {"filter": "price < 5", "boosts": [{"filter": "price > 1", "weight": 2}]})
    tab.open("scenarios", name="home", view="history")
    stages = [stage["name"] for stage in shop.get("/v1/pipeline", scenario="home")["stages"]]
    assert tab.locator("[data-stage]").evaluate_all("all => all.map((one) => one.dataset.stage)") == stages
    assert tab.locator(".pipeline ol li").count() == len(stages), "the picture in words"
    tab.locator("[data-stage=boosts]").focus()
    tab.keyboard.press("Enter")
    tab.locator("#rule-boosts input").first.wait_for()
    tab.wait_for_function("document.activeElement.closest('#rule-boosts')")
    assert tab.get_by_role("tab", name="Rules").get_attribute("aria-selected") == "true"
    tab.locator("[data-stage=sources]").click()
    assert "scores" in tab.locator("[data-details=sources]").inner_text()


def test_the_picture_shows_the_draft_or_what_is_in_force(tab: Tab, shop: Shop) -> None:
    published(shop, {"limit": 5})
    shop.client.put("/v1/scenarios/home", json={"rules": {"limit": 6}})
    tab.open("scenarios", name="home")
    pins = tab.locator("[data-stage=pins]")
    tab.get_by_text("Under the draft that is saved").wait_for()
    assert "6 items" in pins.text_content()
    tab.get_by_role("switch", name="as in the draft").uncheck()
    tab.get_by_text("Under version").wait_for()
    tab.settled()
    assert "5 items" in pins.text_content()


def test_every_rule_can_be_set_without_code(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/scenarios/home", json={"rules": {}})
    tab.open("scenarios", name="home")
    tab.get_by_role("button", name="Add a boost").click()
    tab.get_by_label("Items that match", exact=True).fill("price > 1")
    tab.get_by_label("Weight").fill("0,5")
    assert "above 0" in tab.locator("#rule-boosts [role=alert]").inner_text()
    tab.get_by_label("Weight").fill("0.5")
    tab.get_by_text("lowered", exact=True).wait_for()
    tab.get_by_label("What the user has met", exact=True).select_option("some")
    tab.get_by_label("Kinds of events").fill("purchase, cart")
    tab.get_by_label("In the last days").fill("30")
    tab.get_by_role("combobox", name="Leave an item out").fill(findable(shop, "bag"))
    tab.locator(".listbox:not([hidden]) [role=option]").first.click()
    tab.get_by_label("Diversity, %").fill("30")
    tab.get_by_label("Property to cap").fill("price")
    tab.get_by_role("button", name="Add a cap").click()
    tab.get_by_label("Rotation, % of the places").fill("20")
    tab.get_by_label("Others after, minutes").fill("30")
    tab.get_by_label("Description").fill(HOSTILE)
    tab.get_by_text("Fill lists up without it").click()
    tab.get_by_role("button", name="Save draft").click()
    tab.get_by_text("draft waits").wait_for()
    draft = shop.get("/v1/scenarios/home")["draft"]
    (excluded,) = draft.pop("exclude_item_ids")
    assert (
        draft
        == {
            "description": HOSTILE,
            "boosts": [{"filter": "price > 1", "weight": 0.5}],
            "strict_filter": False,
            "exclude_seen": {"types": ["purchase", "cart"], "days": 30},
            "diversity": 0.3,
            "max_per": {"price": 2},
            "rotation": {"rate": 0.2, "seconds": 1800},
        }
        or {**draft, "rotation": {"rate": 0.2, "seconds": 1800}} == draft
    )
    assert HOSTILE in tab.locator(".page > header").inner_text(), "text, not markup"
    tab.get_by_role("button", name=f"Show {excluded} again").click()
    tab.get_by_role("button", name="Remove boost 1").click()
    tab.get_by_role("button", name="Save draft").click()
    tab.get_by_text("not saved").wait_for(state="detached")
    later = shop.get("/v1/scenarios/home")["draft"]
    assert "boosts" not in later and "exclude_item_ids" not in later


def test_what_was_typed_is_still_there_when_one_comes_back(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/scenarios/home", json={"rules": {"limit": 3}})
    tab.open("scenarios", name="home")
    tab.get_by_label("Items of a list").fill("6")
    tab.get_by_text("not saved").wait_for()
    tab.get_by_role("button", name="All scenarios").click()
    tab.get_by_role("button", name="home").click()
    tab.get_by_text("not saved").wait_for()
    assert tab.get_by_label("Items of a list").input_value() == "6"
    tab.get_by_role("button", name="Save draft").click()
    tab.get_by_text("not saved").wait_for(state="detached")
    assert shop.get("/v1/scenarios/home")["draft"] == {"limit": 6}


def test_both_stages_are_in_the_picture_where_there_are_two(tmp_path: Path, open_tab: Callable[..., Tab]) -> None:
    with opened(tmp_path, shops.shop()) as (service, store, _clock), running(service, store) as url:
        tab = open_tab(url)
        tab.open("scenarios")
        tab.locator("[data-stage=ranker]").wait_for()
        tab.locator("[data-stage=sources]").click()
        told = tab.locator("[data-details=sources]").inner_text()
        assert "item_knn: its 12 best items" in told and "popularity: its 12 best items" in told
        tab.locator("[data-stage=ranker]").click()
        assert "orders the candidates" in tab.locator("[data-details=ranker]").inner_text()
        axe(tab)


def test_what_is_wrong_is_said_where_it_is_and_cannot_be_saved(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/scenarios/home", json={"rules": {"pins": [{"item_id": "nothing <b>", "position": 3}]}})
    tab.open("scenarios", name="home")
    tab.get_by_text("nothing is known of this item").wait_for()
    tab.get_by_label("Only items that match").fill("prise < 3")
    tab.locator("#rule-filter [role=alert]").wait_for()
    assert "did you mean 'price'" in tab.locator("#rule-filter [role=alert]").inner_text()
    save = tab.get_by_role("button", name="Save draft")
    assert save.get_attribute("aria-disabled") == "true" and "prise" in save.get_attribute("title")
    axe(tab)


def test_two_people_do_not_overwrite_each_other(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/scenarios/home", json={"rules": {"limit": 3}})
    tab.open("scenarios", name="home")
    shop.client.put("/v1/scenarios/home", json={"rules": {"limit": 4}})
    tab.get_by_label("Items of a list").fill("5")
    tab.allowed = {409}
    tab.get_by_role("button", name="Save draft").click()
    tab.get_by_text("somebody else changed it meanwhile").wait_for()
    assert shop.get("/v1/scenarios/home")["draft"] == {"limit": 4}


def test_hostile_items_stay_text(tab: Tab, shop: Shop) -> None:
    shop.client.put("/v1/items/bad", json={"properties": {"description": HOSTILE, "price": 1.0}})
    published(shop, {"pins": [{"item_id": "bad", "position": 1}], "filter": f"description != '{HOSTILE}x'"})
    try:
        tab.open("scenarios", name="home")
        tab.locator("#rule-pins").get_by_text(HOSTILE).wait_for()
        tab.get_by_role("tab", name="Preview").click()
        tab.get_by_label("Users to draw").fill("2")
        tab.get_by_role("button", name="Preview", exact=True).click()
        tab.locator("[data-item=bad]").first.wait_for()
        assert HOSTILE in tab.locator("[data-item=bad]").first.inner_text()
        tab.get_by_role("tab", name="History").click()
        tab.locator(".changes").first.wait_for()
        axe(tab)
    finally:
        shop.client.delete("/v1/items/bad")


def test_it_fits_a_phone_in_the_dark(phone: Tab, shop: Shop) -> None:
    published(
        shop,
        {
            "description": "n" * 300,
            "filter": "price < $most AND " + " AND ".join(["price > 0"] * 30),
            "parameters": {"most": 9},
            "boosts": [{"filter": "price > 1", "weight": 2}],
            "pins": [{"item_id": "x" * 200, "position": 2}],
            "max_per": {"price": 3},
            "rotation": {"rate": 0.3, "seconds": 60},
        },
        "h" * 64,
    )
    for view in ("rules", "preview", "history"):
        phone.open("scenarios", name="h" * 64, view=view)
        if view == "preview":
            phone.get_by_role("button", name="Preview", exact=True).click()
            phone.locator("[data-totals]").wait_for()
        wide = phone.evaluate(
            "[...document.querySelectorAll('.main *')].filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 90))"
        )
        assert phone.fits(), (view, wide[:6])
        axe(phone)
    phone.open("scenarios")
    assert phone.fits()
    axe(phone)


def test_who_may_only_look_sees_everything_and_can_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, open_tab: Callable[..., Tab]
) -> None:
    look, admin = new_key(["dashboard"]), new_key(["admin"])

    def add(store: Any) -> None:
        store.add_key(look[0])
        store.add_key(admin[0])

    with serving(tmp_path_factory.mktemp("town"), keys=add) as server:
        _look(server, admin[1], look[1], open_tab)


def _look(server: Server, admin: str, secret: str, open_tab: Callable[..., Tab]) -> None:
    headers = {"authorization": f"Bearer {admin}"}
    server.client.put("/v1/scenarios/home", json={"rules": {"limit": 4, "exclude_item_ids": ["i4"]}}, headers=headers)
    server.client.post("/v1/scenarios/home:publish", json={}, headers=headers)
    tab = open_tab(server.url)
    tab.allowed = {401}
    tab.goto(f"{server.url}/#/scenarios?name=home")
    tab.get_by_label("Key", exact=True).fill(secret)
    tab.get_by_role("button", name="Enter").click()
    tab.get_by_text("This key may look").wait_for()
    for name in ("Save draft", "Publish…", "Roll back…", "Delete…"):
        button = tab.get_by_role("button", name=name)
        assert button.get_attribute("aria-disabled") == "true" and "catalog:write" in button.get_attribute("title")
    assert tab.get_by_label("Items of a list").is_disabled() and tab.get_by_label("Items of a list").input_value() == "4"
    assert tab.get_by_role("combobox", name="Pin an item").count() == 0
    tab.locator("#rule-pins .tip button").click()
    tab.get_by_text("The item stands at its position for everybody").wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_role("tab", name="Preview").click()
    tab.get_by_role("button", name="Preview", exact=True).click()
    tab.get_by_text("Nothing changes for these users.").wait_for()
    tab.get_by_role("tab", name="History").click()
    tab.get_by_text("in force", exact=True).wait_for()
    assert tab.get_by_role("button", name="Take into the editor").count() == 0
