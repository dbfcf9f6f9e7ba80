"""The data page: report, intake, rejects and drift are the API's; what was refused is shown as text."""

from __future__ import annotations

from tests.dashboard.conftest import HOSTILE, Shop, Tab, axe


def test_a_report_is_made_from_the_page_and_is_the_apis(tab: Tab, shop: Shop) -> None:
    tab.open("data")
    tab.get_by_role("button", name="Make the report").click()
    tab.get_by_role("progressbar", name="Progress of the report").wait_for()
    tab.locator("[data-part=report]").wait_for(timeout=90_000)
    quality = shop.get("/v1/data/quality")
    text = tab.locator("[data-part=report]").inner_text()
    assert f"{quality['report']['interactions']:,}" in text and f"{quality['report']['users']:,}" in text
    for problem in quality["report"]["problems"]:
        assert problem["message"] in text and problem["remedy"] in text
    for bar in quality["plots"]["per_user"]:
        assert f"{bar['count']:,}" in text
    axe(tab)


def test_drift_is_the_apis(tab: Tab, shop: Shop) -> None:
    tab.open("data")
    told = shop.get("/v1/data/drift")
    assert told["measures"]
    for measure in told["measures"]:
        row = tab.get_by_role("row").filter(has=tab.page.locator(f"[data-measure={measure['name']}]")).inner_text()
        assert measure["verdict"] in row and measure["note"] in row
        if measure["unit"] == "bits" and measure["value"] is not None:
            assert f"{measure['value']:.3f}".rstrip("0") in row


def test_rejects_are_explained_filtered_and_text(tab: Tab, shop: Shop) -> None:
    shop.post("/v1/events", {"events": [{"item_id": HOSTILE}, {"user_id": "u", "item_id": "i", "timestamp": 5}]})
    tab.wait_for_timeout(2100)  # what was counted is held for two seconds
    tab.open("data")
    table = tab.get_by_role("region", name="Rejected events, newest first")
    assert HOSTILE in table.inner_text().replace('\\\\"', '"').replace('\\"', '"')
    assert tab.locator("main img, main script").count() == 0
    refused = {one["code"]: one for one in shop.get("/v1/data/intake")["refused"]}
    reasons = tab.get_by_role("region", name="Reasons").inner_text()
    assert refused["no_user"]["why"] in reasons and refused["too_old"]["hint"] in reasons
    tab.get_by_role("button", name="too_old").click()
    tab.wait_for_function("location.hash.includes('code=too_old')")
    tab.settled()
    tab.wait_for_function("!document.querySelector('#rejects').innerText.includes('onerror')")
    assert len(shop.get("/v1/dead-letters", code="too_old")["rows"]) == table.locator("tbody tr").count()
    axe(tab)


def test_it_fits_a_phone_in_the_dark(phone: Tab) -> None:
    phone.open("data")
    assert phone.fits()
    axe(phone)
