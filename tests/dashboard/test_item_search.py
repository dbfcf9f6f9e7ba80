"""The line that finds items as one types: by keyboard, by mouse, and as screen readers hear it."""

from __future__ import annotations

import pytest
from tests.dashboard.conftest import Shop, Tab, axe, taken_in

MOUNT = """async () => {
  const base = document.querySelector('script[type=module]').src.replace('app.js', '');
  const { html, render } = await import(`${base}lib/html.js`);
  const { ItemSearch } = await import(`${base}ui/index.js`);
  const place = document.createElement('section');
  place.setAttribute('aria-label', 'Test');
  document.querySelector('main .page').prepend(place);
  window.picked = [];
  render(html`<${ItemSearch} label="Pick one" keep onPick=${(item) => window.picked.push(item.item_id)} />`, place);
}"""


@pytest.fixture
def line(tab: Tab, shop: Shop) -> Tab:
    taken_in(shop)
    tab.open("catalogue")
    tab.evaluate(MOUNT)
    return tab


def test_it_is_used_by_keyboard_alone(line: Tab, shop: Shop) -> None:
    told = shop.get("/v1/items", query="lantern", limit=8)
    box = line.get_by_role("combobox", name="Pick one")
    box.focus()
    line.page.keyboard.type("lantern")
    line.get_by_text(f"8 items of {told['total']}").wait_for()
    options = line.locator("[role=option]")
    assert options.count() == 8 and box.get_attribute("aria-expanded") == "true"
    axe(line)
    chosen = lambda: line.locator(f"#{box.get_attribute('aria-activedescendant')}").inner_text()
    first = chosen()
    line.page.keyboard.press("ArrowDown")
    line.wait_for_function("() => document.querySelectorAll('[role=option]')[1].getAttribute('aria-selected') === 'true'")
    assert chosen() != first and told["items"][1]["item_id"] in chosen()
    line.page.keyboard.press("ArrowUp")
    line.page.keyboard.press("ArrowUp")
    line.wait_for_function("() => document.querySelectorAll('[role=option]')[7].getAttribute('aria-selected') === 'true'")
    line.page.keyboard.press("Enter")
    assert line.evaluate("window.picked") == [told["items"][7]["item_id"]]
    assert box.get_attribute("aria-expanded") == "false" and box.input_value()


def test_escape_closes_it_and_the_mouse_picks(line: Tab, shop: Shop) -> None:
    box = line.get_by_role("combobox", name="Pick one")
    box.fill("lantern")
    line.locator("[role=option]").first.wait_for()
    line.page.keyboard.press("Escape")
    line.wait_for_function("() => ![...document.querySelectorAll('[role=option]')].some((one) => one.offsetParent)")
    assert line.evaluate("window.picked") == []
    box.fill("lanter")
    line.locator("[role=option]").nth(2).click()
    assert line.evaluate("window.picked") == [shop.get("/v1/items", query="lanter", limit=8)["items"][2]["item_id"]]


def test_what_is_not_found_is_said(line: Tab, shop: Shop) -> None:
    line.get_by_role("combobox", name="Pick one").fill("nothing like this")
    line.get_by_text("No item has all the words").wait_for()
