"""Keys: made, shown once, used to enter, revoked."""

from __future__ import annotations

from tests.dashboard.conftest import Shop, Tab, axe


def test_a_key_is_made_shown_once_and_opens_the_page_then_is_revoked(tab: Tab, shop: Shop) -> None:
    tab.allowed = {401}
    tab.open("keys")
    tab.get_by_text("There is no key").wait_for()
    tab.get_by_role("button", name="Make a key").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Name").fill("mine")
    assert dialog.get_by_role("checkbox", name="admin").is_checked()
    axe(tab)
    dialog.get_by_role("button", name="Make it").click()
    secret = tab.locator("[data-part=secret]").inner_text()
    assert secret.startswith("tm_")
    tab.get_by_role("button", name="Copy the secret").click()
    assert tab.evaluate("navigator.clipboard.readText()") == secret
    shop.client.headers["authorization"] = f"Bearer {secret}"
    tab.get_by_role("button", name="I have it").click()
    tab.get_by_role("row", name="mine").wait_for()
    assert secret not in tab.page.content()
    tab.get_by_role("button", name="sign out").click()
    tab.get_by_label("Key", exact=True).fill(secret)
    tab.get_by_role("button", name="Enter").click()
    tab.open("keys")
    tab.get_by_role("row", name="mine").wait_for()
    assert secret not in tab.page.content() and secret not in tab.page.url
    made = shop.post("/v1/keys", {"scopes": ["recommend"], "name": "other"})
    tab.reload()
    tab.get_by_role("button", name="Revoke other").click()
    tab.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    tab.get_by_role("row", name="other").get_by_text("revoked").wait_for()
    found = {one["key_id"]: one["revoked"] for one in shop.get("/v1/keys")["keys"]}
    assert found[made["key_id"]] is not None
    axe(tab)
