"""Dashboard: how soon the first page stands, and what it weighs, over a store with a million items.

python -m bench.dashboard [--items N] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from playwright import sync_api
from tests.dashboard.conftest import CHROMIUM, FLAGS, opened

from tastemaker.store.bulk import load_items
from tastemaker.store.sql import SqlStore

_TRIES = 7
_PAGES = (
    "overview",
    "shopfront",
    "inspector",
    "catalogue",
    "data",
    "models",
    "evaluation",
    "scenarios",
    "jobs",
    "keys",
    "audit",
    "system",
)


def main() -> None:
    """Measures and prints, or writes to --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with SqlStore(str(folder / "shop.db")) as store:
            ids = [f"i{number}" for number in range(asked.items)]
            load_items(store, pa.table({"item_id": ids, "title": [f"Item number {one} of the shop" for one in ids]}))
        for shop in opened(folder):
            found = measured(shop.url)
    report = {"items": asked.items, **found, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    text = json.dumps(report, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


def measured(url: str) -> dict[str, Any]:
    """First contentful paint and the moment each page stands, in ms; bytes as sent."""
    pages: dict[str, Any] = {}
    weight: dict[str, int] = {}
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        for page in _PAGES:
            paints, stands, settles = [], [], []
            for _ in range(_TRIES):
                context = browser.new_context()  # nothing held from the time before
                tab = context.new_page()
                began = time.perf_counter()
                tab.goto(f"{url}/#/{page}")
                tab.wait_for_selector(".page h1")
                stands.append(1000 * (time.perf_counter() - began))
                tab.wait_for_function("() => !document.querySelector('[role=status][aria-label=Loading]')")
                settles.append(1000 * (time.perf_counter() - began))
                tab.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
                paints.append(tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
                for one in tab.evaluate(
                    "performance.getEntriesByType('resource').map((one) => [one.name, one.encodedBodySize])"
                ):
                    if "/dashboard/" in one[0]:
                        weight[one[0].rpartition("/dashboard/")[2]] = one[1]
                context.close()
            pages[page] = {
                "first_paint_ms": round(statistics.median(paints), 1),
                "heading_ms": round(statistics.median(stands), 1),
                "loaded_ms": round(statistics.median(settles), 1),
            }
        browser.close()
    return {"pages": pages, "bytes_sent": sum(weight.values()), "files": len(weight)}


if __name__ == "__main__":
    main()
