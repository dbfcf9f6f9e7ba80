"""The overview page: what it shows is what the API says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.dashboard.conftest import Shop, Tab, axe, opened


@pytest.fixture(scope="module")
def busy(shop: Shop) -> Shop:
    """The shop after some customers came."""
    users = [one["user_id"] for one in shop.get("/v1/users", limit=30)["users"]]
    for place, user in enumerate(users):
        answer = shop.post("/v1/recommendations", {"user_id": user, "limit": 6})
        if place % 3 == 0:
            told = {"user_id": user, "item_id": answer["items"][2]["item_id"], "recommendation_id": answer["recommendation_id"]}
            shop.post("/v1/events", {"events": [told | {"type": "purchase" if place % 2 else "click", "position": 3}]})
    for _ in range(100):
        if shop.get("/v1/overview")["click_through"]["of"] == 30:
            return shop
        time.sleep(0.1)
    raise AssertionError("the answers were not counted")


def stat(tab: Tab, label: str) -> str:
    return tab.locator(".stat", has=tab.page.locator("dt").filter(has_text=re.compile(f"^{label}"))).inner_text()


def percent(value: float) -> str:
    return f"{value * 100:.1f}".rstrip("0").rstrip(".") + " %"


def test_the_tiles_say_what_the_api_says(tab: Tab, busy: Shop) -> None:
    tab.open("overview")
    told = busy.get("/v1/overview")
    clicks = stat(tab, "Click-through")
    assert percent(told["click_through"]["value"]) in clicks and "of 30 lists" in clicks
    assert f"{percent(told['click_through']['low'])[:-2]} – {percent(told['click_through']['high'])}" in clicks
    assert percent(told["conversion"]["value"]) in stat(tab, "Conversion")
    assert f"{told['catalogue']['shown']} of {told['catalogue']['available']:,} items" in stat(tab, "Catalogue shown")
    assert f"{told['model']['name']} {told['model']['version']}" in stat(tab, "Model in use")
    row = tab.get_by_role("row", name=told["by_model"][0]["name"])
    assert str(told["by_model"][0]["answers"]) in row.inner_text()
    assert tab.get_by_text("All is well").count() == (1 if told["health"] == "good" else 0)
    axe(tab)


def test_it_is_live(tab: Tab, busy: Shop) -> None:
    tab.open("overview")
    tab.get_by_text("live", exact=True).wait_for()
    before = stat(tab, "Requests")
    for _ in range(200):
        busy.get("/v1/popular", limit=3)
    tab.wait_for_function(
        "(before) => [...document.querySelectorAll('.stat')].find((one) => one.innerText.startsWith('Requests'))?.innerText !== before",
        arg=before,
    )


def test_an_alert_leads_to_the_page_that_helps(tab: Tab, busy: Shop) -> None:
    hostile = {"events": [{"user_id": "u", "item_id": ""}] * 200}
    busy.post("/v1/events", hostile)
    tab.wait_for_timeout(1100)
    tab.open("overview")
    alert = tab.locator("[data-part=alerts] li", has_text="rejected")
    assert alert.get_by_role("link").get_attribute("href") == "#/data"


def test_it_fits_a_phone_in_the_dark(phone: Tab, busy: Shop) -> None:
    phone.open("overview")
    assert phone.fits()
    axe(phone)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("empty")
    yield from opened(folder)


def test_an_empty_service_says_how_to_begin(empty: Shop, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(empty.url).open("overview")
    tab.get_by_text("No event has come in yet").wait_for()
    assert "/v1/events" in tab.locator("pre").first.inner_text()
    axe(tab)
