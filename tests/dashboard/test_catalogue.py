"""The catalogue page: it finds, lists, tells of an item and maps; what it shows is what the API says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe, opened

NAMES = ("Amber", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heath", "Islet", "Juniper")


@pytest.fixture(scope="module")
def busy(shop: Shop) -> Shop:
    """The shop after some customers came, with categories, and items that are hidden, expired and hostile."""
    items = shop.get("/v1/popular", limit=120)["items"]
    for place, item in enumerate(items):
        shop.client.patch(f"/v1/items/{item['item_id']}", json={"categories": [NAMES[place % 10]]}).raise_for_status()
    for place, user in enumerate(shop.get("/v1/users", limit=30)["users"]):
        answer = shop.post("/v1/recommendations", {"user_id": user["user_id"], "limit": 6})
        if place % 3 == 0:
            told = {"user_id": user["user_id"], "item_id": answer["items"][2]["item_id"], "type": "click"}
            shop.post("/v1/events", {"events": [told | {"recommendation_id": answer["recommendation_id"]}]})
    for item_id, body in {
        "put away": {"properties": {"title": "Quince put away"}, "hidden": True},
        "gone": {"properties": {"title": "Quince of last year"}, "expires_at": 1},
        "<b>hostile</b>": {"properties": {"title": HOSTILE, "description": HOSTILE}, "categories": [HOSTILE]},
    }.items():
        shop.post("/v1/items:batch", {"items": [{"item_id": item_id, **body}]})
    for _ in range(300):
        if shop.get("/v1/overview")["click_through"]["of"] == 30 and shop.get("/v1/catalogue/map")["state"] == "ready":
            return shop
        time.sleep(0.1)
    raise AssertionError("answers were not counted, or the map was not made")


def rows(tab: Tab) -> list[str]:
    return tab.locator("[data-item]").evaluate_all("all => all.map((one) => one.dataset.item)")


def found(tab: Tab, count: int | str) -> None:
    tab.get_by_role("heading", name=re.compile(rf"^{count} items?$")).wait_for()
    tab.settled()


def test_it_finds_as_one_types_and_the_address_leads_there_again(tab: Tab, busy: Shop) -> None:
    tab.open("catalogue")
    told = busy.get("/v1/items", query="lantern", limit=50)
    tab.get_by_label("Search the catalogue").fill("lantern")
    found(tab, told["total"])
    assert rows(tab) == [item["item_id"] for item in told["items"]] and told["items"]
    assert "q=lantern" in tab.page.url
    tab.get_by_label("Search the catalogue").fill("no such words at all")
    tab.get_by_text("No item has all of these words").wait_for()
    tab.open("catalogue", q="lantern", sort="newest")
    newest = busy.get("/v1/items", query="lantern", sort="newest", limit=50)
    found(tab, newest["total"])
    assert rows(tab) == [item["item_id"] for item in newest["items"]]


def test_lists_show_what_the_api_lists_page_by_page(tab: Tab, busy: Shop) -> None:
    tab.open("catalogue")
    glance = busy.get("/v1/catalogue")
    found(tab, f"{glance['lists']['all']:,}")
    first = busy.get("/v1/items", sort="popular", limit=50)
    assert rows(tab) == [item["item_id"] for item in first["items"]]
    tab.get_by_role("button", name="More", exact=True).click()
    tab.wait_for_function("() => document.querySelectorAll('[data-item]').length === 100")
    assert len(set(rows(tab))) == 100
    for name, words in (("hidden", "Hidden"), ("expired", "Expired"), ("cold", "Cold"), ("never_shown", "Never shown")):
        tab.get_by_role("tab", name=re.compile(words)).click()
        found(tab, f"{glance['lists'][name]:,}")
        assert f"{glance['lists'][name]:,}" in tab.get_by_role("tab", name=re.compile(words)).inner_text()
        listed = busy.get("/v1/items", list=name, limit=50)["items"]
        assert rows(tab) == [item["item_id"] for item in listed], name
    axe(tab)


def test_a_category_narrows_it(tab: Tab, busy: Shop) -> None:
    tab.open("catalogue")
    tab.get_by_label("Category").select_option("Cedar")
    found(tab, 12)
    assert set(rows(tab)) == {item["item_id"] for item in busy.get("/v1/items", category="Cedar")["items"]}


def test_an_item_tells_what_is_known_of_it(tab: Tab, busy: Shop) -> None:
    best = busy.get("/v1/items", sort="reach", limit=1)["items"][0]["item_id"]
    profile = busy.get(f"/v1/items/{best}/profile")
    tab.open("catalogue")
    tab.get_by_label("Search the catalogue").fill(best)
    found(tab, busy.get("/v1/items", query=best)["total"])
    tab.locator(f"[data-item='{best}']").click()
    page = tab.locator(f"[data-profile='{best}']")
    page.get_by_text("recent users met both").first.wait_for()
    reach = page.locator("[data-part=reach]").inner_text()
    assert f"of {profile['ranked']:,} items" in reach and f"{profile['numbers']['events_ever']:,} ever" in reach
    assert str(profile["numbers"]["shown"]) in reach
    assert f"{profile['numbers']['clicked']} of {profile['numbers']['shown']} times" in reach
    assert f"trained with {profile['trained_with']:,} events" in page.inner_text()
    alike = busy.get(f"/v1/items/{best}/similar", limit=8, include="reasons")["items"]
    reason = next(one for one in alike[0]["reasons"] if one["kind"] == "met_together")
    assert f"{reason['users']} of {reason['of']} recent users met both" in page.inner_text()
    page.get_by_role("button", name="Look for them").click()
    someone = busy.get(f"/v1/items/{best}/audience", limit=10)["users"][0]["user_id"]
    link = page.get_by_role("link", name=someone, exact=True)
    assert link.get_attribute("href") == f"#/inspector?user={someone}&item={best}"
    axe(tab)
    page.locator("table a").first.click()  # an item like it
    tab.locator(f"[data-profile='{alike[0]['item_id']}']").wait_for()
    tab.settled()
    tab.page.keyboard.press("Escape")
    tab.wait_for_function("() => !location.hash.includes('item=')")


def test_hostile_titles_and_ids_stay_text(tab: Tab, busy: Shop) -> None:
    tab.open("catalogue", q="onerror")
    found(tab, 1)
    tab.locator("[data-item]").click()
    tab.locator("[data-profile]").wait_for()
    tab.settled()
    assert HOSTILE in tab.locator("dialog").inner_text() and tab.locator("main img, dialog img").count() == 0


def test_the_map_shows_what_the_search_finds_and_leads_to_items(tab: Tab, busy: Shop) -> None:
    told = busy.get("/v1/catalogue/map")
    tab.open("catalogue", view="map")
    tab.get_by_role("heading", name=re.compile(f"^Map of {told['points']:,} items")).wait_for()
    legend = tab.locator("[data-part=legend]")
    assert legend.get_by_role("button").count() == 9
    seen = tab.locator("[data-part=in-view]")
    seen.get_by_role("heading", name=re.compile(f"{told['points']:,} items")).wait_for()
    lit = busy.get("/v1/catalogue/map/search", query="lantern")
    tab.get_by_label("Search the catalogue").fill("lantern")
    tab.get_by_text(f"{lit['total']} items on the map are lit up").wait_for()
    tab.get_by_label("Search the catalogue").fill("")
    category = legend.get_by_role("button").first
    name = category.inner_text().split()[0]
    category.click()
    seen.get_by_role("heading", name=re.compile("^In view: 12 items")).wait_for()
    assert {item["item_id"] for item in busy.get("/v1/items", category=name)["items"]}
    tab.get_by_role("button", name="Show all").click()
    axe(tab)

    canvas = tab.get_by_role("application")
    canvas.focus()
    for key in ("+", "+", "+", "ArrowLeft", "ArrowUp"):
        tab.page.keyboard.press(key)
    tab.wait_for_function(
        "(all) => !document.querySelector('[data-part=in-view] h3').innerText.includes(all)", arg=f"{told['points']:,}"
    )
    tab.page.keyboard.press("0")
    seen.get_by_role("heading", name=re.compile(f"{told['points']:,} items")).wait_for()
    point, item = placed(busy, tab, 0)
    tab.page.mouse.move(*point)
    hover = tab.locator("[data-part=hover]")
    hover.wait_for()
    assert item["title"] in hover.inner_text()
    tab.page.mouse.click(*point)
    tab.locator(f"[data-profile='{item['item_id']}']").wait_for()
    tab.settled()


def placed(shop: Shop, tab: Tab, rank: int) -> tuple[tuple[float, float], Any]:
    """Where the n-th most popular point lies on the page while all of the map is seen, and its item."""
    content = shop.client.get("/v1/catalogue/map/points").content
    length = int.from_bytes(content[4:8], "little")
    count, at = json.loads(content[8 : 8 + length])["points"], 8 + length + -length % 4
    x, y = np.frombuffer(content, "<u2", 2 * count, at).reshape(2, count).astype(float)
    popularity = np.frombuffer(content, "u1", count, at + 6 * count)
    point = int(np.flatnonzero(popularity == 255)[rank])
    box = tab.get_by_role("application").bounding_box()
    assert box is not None
    scale = 0.96 * min(box["width"], box["height"]) / 65_535
    place = box["x"] + box["width"] / 2 + (x[point] - 32767) * scale, box["y"] + box["height"] / 2 - (y[point] - 32767) * scale
    apart = np.hypot(x - x[point], y - y[point])
    near = np.flatnonzero(apart == apart.min())
    most = int(near[np.argmax(popularity[near])])
    return place, shop.get("/v1/catalogue/map/items", points=most)["items"][0]


@pytest.mark.parametrize("params", [{}, {"view": "map"}])
def test_it_fits_a_phone_in_the_dark(phone: Tab, busy: Shop, params: dict[str, str]) -> None:
    phone.open("catalogue", **params)
    assert phone.fits()
    axe(phone)


def test_an_item_fits_a_phone(phone: Tab, busy: Shop) -> None:
    phone.open("catalogue", item=busy.get("/v1/items", sort="reach", limit=1)["items"][0]["item_id"])
    phone.locator("[data-profile]").wait_for()
    phone.settled()
    assert phone.fits()
    assert phone.evaluate(
        "(() => { const one = document.querySelector('dialog'); return one.scrollWidth <= one.clientWidth; })()"
    )
    axe(phone)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Shop]:
    """A service over a store with nothing in it."""
    yield from opened(tmp_path)


def test_without_items_or_a_model_it_says_what_to_do(empty: Shop, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(empty.url)
    tab.open("catalogue")
    tab.get_by_text("There are no items yet").wait_for()
    axe(tab)
    tab.get_by_role("button", name="Map").click()
    tab.get_by_text("there is no model").wait_for()


HARNESS = """async ([count, steps]) => {
  const { parsed } = await import(`${base()}pages/catalogue/points.js`);
  const { Drawing } = await import(`${base()}pages/catalogue/drawing.js`);
  function base() { return document.querySelector('script[type=module]').src.replace('app.js', ''); }
  const head = new TextEncoder().encode(JSON.stringify({ map: 'm', points: count, categories: ['a'] }));
  const padding = (4 - (head.length % 4)) % 4;
  const bytes = new Uint8Array(8 + head.length + padding + 8 * count);
  bytes.set(new TextEncoder().encode('TMAP'));
  new DataView(bytes.buffer).setUint32(4, head.length, true);
  bytes.set(head, 8);
  let seed = 1;
  for (let at = 8 + head.length + padding; at < bytes.length; at++) bytes[at] = (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 16;
  const points = parsed(bytes.buffer);
  const canvas = document.createElement('canvas');
  canvas.style = 'position:fixed;inset:0;width:1000px;height:620px';
  document.body.append(canvas);
  const drawing = new Drawing(canvas);
  const slots = Uint8Array.from(points.category, (code) => code % 9);
  const palette = Array.from({ length: 9 }, (_, at) => [at * 25, 120, 200 - at * 20]);
  const took = [];
  let last = performance.now();
  for (let step = 0; step < steps; step++) {
    await new Promise(requestAnimationFrame);
    drawing.resize();
    drawing.move(40, -25);
    drawing.draw(points, slots, palette, [240, 240, 240], null, [200, 0, 0]);
    took.push(performance.now() - last);
    last = performance.now();
  }
  canvas.remove();
  return took.sort((one, other) => one - other)[Math.floor(steps / 2)];
}"""


@pytest.mark.slow
def test_a_hundred_thousand_points_follow_the_hand(tab: Tab, busy: Shop) -> None:
    tab.open("catalogue")
    frame = tab.evaluate(HARNESS, [100_000, 60])
    print(f"{1000 / frame:.0f} frames a second")
    assert frame < 1000 / 30
