"""The shell: navigation, theme, sign-in, menu, and what stands where a page fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.dashboard.conftest import Shop, Tab, axe
from tests.serve.serving import Server, serving


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that needs keys."""
    with serving(tmp_path_factory.mktemp("town"), keys=lambda store: None) as server:
        server.key("admin")
        server.client.get("/v1/me")
        yield server


def test_a_closed_service_asks_for_a_key_and_keeps_it_out_of_the_address(closed: Server, open_tab: Callable[..., Tab]) -> None:
    from tastemaker.serve.auth import new_key

    key, secret = new_key(["dashboard"])
    closed.store.add_key(key)
    tab = open_tab(closed.url)
    tab.allowed = {401, 403}
    for _ in range(30):  # until the service has read the keys again
        if closed.client.get("/v1/me", headers={"authorization": f"Bearer {secret}"}).json().get("open") is False:
            break
        tab.wait_for_timeout(200)
    tab.goto(f"{closed.url}/#/system")
    tab.get_by_label("Key", exact=True).fill("tm_wrong")
    tab.get_by_role("button", name="Enter").click()
    assert "not known" in tab.get_by_role("alert").inner_text()
    axe(tab)
    tab.get_by_label("Key", exact=True).fill(secret)
    tab.get_by_role("button", name="Enter").click()
    tab.get_by_role("navigation", name="Pages").wait_for()
    assert secret not in tab.page.url and secret not in tab.page.content()
    assert tab.evaluate("localStorage.length") == 0
    for page, names in {"models": ["Train a new version", "Roll back"], "keys": ["Make a key"]}.items():
        tab.open(page)
        for name in names:
            button = tab.get_by_role("button", name=name, exact=True)
            assert button.get_attribute("aria-disabled") == "true" and "scope" in button.get_attribute("title"), name
            button.dispatch_event("click")
            assert tab.get_by_role("dialog").count() == 0
    looker = {"authorization": f"Bearer {secret}"}
    assert closed.client.post("/v1/models:rollback", headers=looker).status_code == 403
    assert closed.client.get("/v1/models", headers=looker).status_code == 200
    tab.get_by_role("button", name="sign out").click()
    tab.get_by_label("Key", exact=True).wait_for()
    assert tab.evaluate("sessionStorage.length") == 0


def test_the_theme_is_chosen_and_stays(tab: Tab) -> None:
    tab.open("system")
    button = tab.get_by_role("button", name="Colours")
    seen = {tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")}
    for theme in ("light", "dark"):
        button.click()
        tab.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)
        seen.add(tab.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert len(seen) == 2
    tab.reload()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_keyboard_reaches_the_page(tab: Tab) -> None:
    tab.open("system")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the page"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"


def test_a_phone_has_a_menu(phone: Tab) -> None:
    phone.open("system")
    assert phone.fits()
    phone.get_by_role("button", name="Menu").click()
    phone.get_by_role("link", name="Keys").click()
    phone.wait_for_selector("h1:has-text('Keys')")
    assert not phone.get_by_role("link", name="Audit").is_visible()


def test_the_model_in_use_stands_at_the_foot(tab: Tab, shop: Shop) -> None:
    tab.open("system")
    promoted = shop.get("/v1/models")["promoted"]
    tab.get_by_text(f"{promoted['name']} {promoted['version']}").first.wait_for()


def test_a_page_that_is_none_is_told(tab: Tab) -> None:
    tab.goto(f"{tab.url}/#/nowhere")
    tab.get_by_role("alert").get_by_text("There is no such page").wait_for()


def test_every_page_is_there() -> None:
    folder = Path(__file__).parents[2] / "src/tastemaker/dashboard/static/pages"
    import re

    listed = set(re.findall(r'import\("\./(\w+)\.js"\)', (folder / "index.js").read_text()))
    assert listed == {path.stem for path in folder.glob("*.js")} - {"index"}
