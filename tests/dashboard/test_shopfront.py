"""The shopfront: shelves are the service's answers, a deed is a real event, and the answer changes before one's eyes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe

USER = "12748"


def cards(tab: Tab, shelf: str) -> list[str]:
    tab.wait_for_selector(f"[data-shelf={shelf}] .item")
    return tab.evaluate(
        "(id) => [...document.querySelectorAll(`[data-shelf=${id}] .item`)].map((one) => one.dataset.item)", shelf
    )


def ids(answer: Any) -> list[str]:
    return [one["item_id"] for one in answer["items"]]


def test_each_shelf_is_what_the_service_answers_and_no_item_is_there_twice(tab: Tab, shop: Shop) -> None:
    tab.open("shopfront", user=USER)
    tab.wait_for_selector("[data-shelf=latest] .item")
    shown = cards(tab, "recommended")
    assert shown == ids(shop.get(f"/v1/users/{USER}/recommendations", limit=8))
    done = shop.get("/v1/events", user_id=USER, limit=30)["events"]
    last = list(dict.fromkeys(one["item_id"] for one in done))[:2]
    above = [*last, *shown]
    similar = [(f"similar-{place}", f"/v1/items/{item}/similar") for place, item in enumerate(last)]
    for shelf, path in (*similar, ("trending", "/v1/trending"), ("popular", "/v1/popular"), ("latest", "/v1/latest")):
        expected = [one for one in ids(shop.get(path, limit=40)) if one not in above][:8]
        assert (cards(tab, shelf) if expected else []) == expected, shelf
        above += expected
    title = shop.get(f"/v1/items/{shown[0]}")["properties"]["description"]
    assert tab.locator("[data-shelf=recommended] h3").first.inner_text() == title
    axe(tab)


def test_a_purchase_is_an_event_of_its_answer_and_the_shelf_changes(tab: Tab, shop: Shop) -> None:
    tab.open("shopfront", user="13047")
    before = cards(tab, "recommended")
    answer = tab.locator("[data-shelf=recommended]").get_attribute("data-answer")
    tab.locator("[data-shelf=recommended] .item").nth(2).get_by_role("button", name="Buy").dblclick()
    tab.get_by_text("since your purchase of").wait_for()
    tab.settled()
    events = [one for one in shop.get("/v1/events", user_id="13047", limit=10)["events"] if one.get("recommendation_id")]
    assert [(one["type"], one["item_id"], one["position"], one["recommendation_id"]) for one in events] == [
        ("purchase", before[2], 3, answer)
    ]
    after = cards(tab, "recommended")
    assert before[2] not in after and after != before
    assert after == ids(shop.get("/v1/users/13047/recommendations", limit=8))
    told = re.search(r"(\d+) items? of 8", tab.get_by_text("since your purchase of").inner_text())
    again = tab.evaluate(
        """async ([item, answer]) => {
            const { deed } = await import(document.querySelector("script").src.replace("app.js", "lib/events.js"));
            return deed("13047", "purchase", { item_id: item, rank: 3 }, { recommendation_id: answer });
        }""",
        [before[2], answer],
    )
    assert (again["accepted"], again["duplicates"]) == (0, 1)  # the same deed on the same answer, sent again
    assert told and int(told[1]) == len(set(after) - set(before))
    assert tab.locator("[data-part=timeline] li").first.get_attribute("data-item") == before[2]


def test_a_visitor_is_asked_and_the_answers_make_a_taste(tab: Tab, shop: Shop) -> None:
    tab.open("shopfront")
    tab.wait_for_function("location.hash.includes('user=')")
    tab.get_by_role("button", name="A new visitor").click()
    tab.get_by_text("this is what is popular").wait_for()
    asked = tab.locator("[data-part=onboarding] .item").first.get_attribute("data-item")
    user = tab.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('user')")
    tab.locator("[data-part=onboarding] .item").first.get_by_role("button", name="Like").click()
    tab.locator("[data-part=timeline] li", has_text="like").wait_for()
    done = shop.get("/v1/events", user_id=user, limit=5)["events"]
    assert [(one["item_id"], one["type"]) for one in done] == [(asked, "like")]
    tab.get_by_text("this is what is popular").wait_for(state="detached")


def test_options_are_those_of_the_request(tab: Tab, shop: Shop) -> None:
    tab.open("shopfront", user=USER, filter="price < 1", seen="all")
    tab.wait_for_selector("[data-shelf=recommended] .item")
    body = {"user_id": USER, "limit": 8, "filter": "price < 1", "exclude_seen": False}
    assert cards(tab, "recommended") == ids(shop.post("/v1/recommendations", body))


def test_a_filter_that_is_none_is_told_not_thrown(tab: Tab, shop: Shop) -> None:
    tab.allowed = {422}
    tab.open("shopfront", user=USER, filter="price <")
    told = shop.client.post("/v1/recommendations", json={"user_id": USER, "filter": "price <"}).json()["detail"]
    assert told in tab.get_by_role("alert").inner_text()


@pytest.fixture
def hostile(shop: Shop) -> str:
    shop.client.put("/v1/items/hostile", json={"properties": {"description": HOSTILE, "image": "javascript:window.hacked=3"}})
    shop.client.put("/v1/items/long", json={"properties": {"description": HOSTILE * 10}})
    shop.post("/v1/events", {"events": [{"user_id": "victim", "item_id": "hostile"}]})
    return "hostile"


def test_a_hostile_title_is_text(tab: Tab, hostile: str) -> None:
    tab.open("shopfront", user="victim")
    assert tab.locator(f"[data-part=timeline] li[data-item={hostile}] a").inner_text() == HOSTILE
    card = tab.locator('[data-shelf=latest] .item[data-item="long"]')
    assert card.locator("h3").inner_text() == HOSTILE * 10
    assert tab.locator("main img, main script").count() == 0 and tab.fits()


def test_a_key_that_may_only_look_sends_nothing(tab: Tab, shop: Shop) -> None:
    tab.route("**/v1/me", lambda route: route.fulfill(json={"key_id": "k", "scopes": ["dashboard"], "open": False}))
    tab.open("shopfront", user=USER)
    button = tab.locator("[data-shelf=recommended] .item").first.get_by_role("button", name="Buy")
    button.dispatch_event("click")
    assert button.get_attribute("aria-disabled") == "true" and "events:write" in button.get_attribute("title")


def test_it_fits_a_phone_in_the_dark(phone: Tab) -> None:
    phone.open("shopfront", user=USER)
    phone.wait_for_selector("[data-shelf=latest] .item")
    assert phone.fits()
    axe(phone)
