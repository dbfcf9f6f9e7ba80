"""Pictures of each page of the dashboard over the demo's shop: two widths, light and dark, into docs/images.

python scripts/screenshots.py [PAGE ...]     needs chromium and the development environment; takes three minutes
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from playwright import sync_api  # noqa: E402
from tests.dashboard.conftest import CHROMIUM, FLAGS, Shop, made, moved, opened, settle  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZES = {"wide": (1280, 860), "phone": (390, 844)}
USER = "12748"
PAGES: dict[str, dict[str, str]] = {
    "overview": {},
    "shopfront": {"user": USER},
    "inspector": {"user": USER},
    "catalogue": {},
    "map": {"view": "map"},
    "data": {},
    "models": {"version": "sasrec/1"},
    "evaluation": {},
    "scenarios": {"name": "home"},
    "jobs": {},
    "keys": {},
    "audit": {},
    "system": {},
}


def main(pages: list[str]) -> None:
    """Takes all of them, or those of `pages`."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        demo = made(Path(os.environ.get("TASTEMAKER_DEMO_SHOP") or Path(place) / "demo-shop"))
        folder = Path(place) / "runs" / "demo"
        shutil.copytree(demo, folder)
        moved(folder / "shop.db", demo, folder)
        for shop in opened(folder):
            settle(shop)
            busy(shop)
            with sync_api.sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
                for page in pages or PAGES:
                    for width in SIZES:
                        for theme in ("light", "dark"):
                            take(browser, shop, page, width, theme)
                browser.close()


def busy(shop: Shop) -> None:
    """Some customers come, some events are refused, a report is made and rules are published, so that pages have something to show."""
    shop.post("/v1/data:describe", {})
    for place, one in enumerate(shop.get("/v1/users", limit=60)["users"]):
        user = one["user_id"]
        answer = shop.post("/v1/recommendations", {"user_id": user, "limit": 8})
        if place % 3 == 0:
            told = {"user_id": user, "item_id": answer["items"][place % 5]["item_id"], "position": place % 5 + 1}
            told |= {"recommendation_id": answer["recommendation_id"], "type": "purchase" if place % 2 else "click"}
            shop.post("/v1/events", {"events": [told]})
    shop.post("/v1/events", {"events": [{"user_id": USER, "item_id": "22423", "timestamp": 5}, {"item_id": "22423"}]})
    rules = {
        "filter": "price < 20",
        "boosts": [{"filter": "price < 2", "weight": 2}],
        "pins": [{"item_id": "22423", "position": 1}],
    }
    shop.client.put("/v1/scenarios/home", json={"rules": {**rules, "description": "The first shelf of the home page"}})
    shop.post("/v1/scenarios/home:publish", {})
    while [one for one in shop.get("/v1/jobs")["jobs"] if one["state"] in ("queued", "running")]:
        pass


def take(browser: Any, shop: Shop, page: str, width: str, theme: str) -> None:
    """One picture."""
    size = dict(zip(("width", "height"), SIZES[width], strict=True))
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
    tab = context.new_page()
    params = PAGES[page]
    tab.goto(f"{shop.url}/#/{'catalogue' if page == 'map' else page}" + (f"?{urlencode(params)}" if params else ""))
    tab.wait_for_selector(".page h1")
    tab.wait_for_timeout(6000 if page == "map" else 2500)
    tab.screenshot(path=IMAGES / f"{page}-{width}-{theme}.jpg", type="jpeg", quality=82)
    context.close()
    print(f"{page} {width} {theme}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
