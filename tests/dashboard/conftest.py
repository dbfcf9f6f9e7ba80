"""The demo's shop, served by a process of its own, and a browser on its dashboard that takes every error for a failure."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
SMALL = {"epochs = 6": "epochs = 2", "dim = 48": "dim = 16"}
"""The demo's config, smaller."""


@dataclass
class Shop:
    """A running service."""

    url: str
    client: httpx.Client
    folder: Path
    """holds shop.db, the run and the versions"""
    process: subprocess.Popen[str]

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers."""
        answer = self.client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """The same for what is asked with a body."""
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


def made(folder: Path) -> Path:
    """The demo's folder after training, made once for all processes of a test run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            code = "from tests.dashboard.conftest import make; make()"
            environment = {**os.environ, "TASTEMAKER_RUNS": str(folder / "runs"), "SHOP": str(folder / "runs" / "demo")}
            subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path(__file__).parents[2])
            (folder / "done").touch()
    return folder / "runs" / "demo"


def make() -> None:
    """Trains and opens the demo's shop in $SHOP."""
    from tastemaker.cli.demo import open_shop
    from tastemaker.experiment import demo

    place = demo.prepare(Path(os.environ["SHOP"]))
    config = place.config.read_text()
    for old, new in SMALL.items():
        assert old in config
        config = config.replace(old, new)
    place.config.write_text(config)
    result = demo.train(place)
    open_shop(place, result, demo.choose(place, result))


def opened(folder: Path, *options: str) -> Iterator[Shop]:
    """A service over a copy of a shop's store."""
    command = [
        sys.executable,
        "-m",
        "tastemaker",
        "serve",
        "--store",
        str(folder / "shop.db"),
        "--port",
        "0",
        "--json",
        "--no-access-log",
    ]
    log = (folder / "serve.log").open("w")
    environment = {**os.environ, "TASTEMAKER_RUNS": str(folder.parent)}
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        assert process.stdout is not None
        text = ""
        while "}" not in text:
            line = process.stdout.readline()
            assert line, (folder / "serve.log").read_text()[-2000:]
            text += line if text or line.startswith("{") else ""
        url = json.loads(text)["url"]
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Shop(url, client, folder, process)
    finally:
        process.terminate()
        if process.stdout is not None:
            process.stdout.close()
        assert process.wait(40) == 0, (folder / "serve.log").read_text()[-2000:]
        process.stdout.close()
        log.close()
        process.stdout.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The demo's folder, whole and not to be changed."""
    base = tmp_path_factory.getbasetemp()
    return made(Path(os.environ.get("TASTEMAKER_DEMO_SHOP") or (base if worker_id == "master" else base.parent) / "demo-shop"))


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """xdist's name of this process."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


@pytest.fixture(scope="module")
def shop(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The demo's shop, this module's own."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    shutil.copytree(demo, folder)
    moved(folder / "shop.db", demo, folder)
    for running in opened(folder):
        settle(running)
        yield running


def settle(shop: Shop) -> None:
    """Waits until the items that the model does not know have found their places, on which histories with them depend."""
    seen: list[Any] = []
    while len(seen) < 4 or any(one != seen[-1] for one in seen[-4:]):
        seen.append(shop.get("/v1/users/12748/recommendations", include="score")["items"])
        assert len(seen) < 60
        time.sleep(0.4)


def taken_in(shop: Shop) -> None:
    """Waits until search knows all items: the first one has the catalogue taken in."""
    for _ in range(100):
        if shop.get("/v1/items", query="heart", limit=1).get("searched", 0) >= shop.get("/v1/statistics")["items"]:
            return
        time.sleep(0.1)
    raise AssertionError("the catalogue was not taken in")


def moved(file: Path, old: Path, new: Path) -> None:
    """Paths of versions follow a store that was copied with its folder."""
    import sqlite3

    with sqlite3.connect(file) as base:
        base.execute("update models set path = replace(path, ?, ?)", (str(old), str(new)))
    base.close()
    ledger = new.parent / "ledger.db"
    if (old.parent / "ledger.db").exists() and not ledger.exists():
        shutil.copy(old.parent / "ledger.db", ledger)
        with sqlite3.connect(ledger) as base:
            base.execute("update runs set folder = replace(folder, ?, ?)", (str(old), str(new)))
        base.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window; no longer than a module, for while it is there an event loop runs, beside which tests of others cannot start theirs."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("no chromium; `apt install chromium` brings it")
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield running
        running.close()


class Tab:
    """A page of the dashboard; everything of Playwright's page, and `faults`, which must stay empty."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url, self.faults = page, url, []
        self.allowed: set[int] = set()
        """statuses of answers that a test wants to see"""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda one: one.url.startswith((url, "data:", "blob:")) or self.faults.append(f"outside: {one.url}"))
        page.on("response", self._response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def _console(self, message: Any) -> None:
        expected = self.allowed and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not expected:
            self.faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def _response(self, answer: Any) -> None:
        if answer.status >= 400 and answer.status not in self.allowed:
            self.faults.append(f"{answer.status}: {answer.url}")

    def open(self, page: str, **params: str) -> Tab:
        """Goes to a page and waits until it stands."""
        query = f"?{urlencode(params)}" if params else ""
        self.page.goto(f"{self.url}/#/{page}{query}")
        self.page.wait_for_selector(".page h1")
        self.settled()
        return self

    def settled(self) -> None:
        """Waits until nothing is on its way any more."""
        self.page.wait_for_function("() => !document.querySelector('[role=status][aria-label=Loading], [aria-busy=true]')")

    def fits(self) -> bool:
        """Whether nothing makes the page wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Makes tabs: open_tab(url, width=, height=, dark=)."""
    made: list[tuple[Any, Tab]] = []

    def make(url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        context.set_default_timeout(15_000)
        tab = Tab(context.new_page(), url)
        made.append((context, tab))
        return tab

    yield make
    for context, tab in made:
        hacked = tab.page.evaluate("window.hacked")
        context.close()
        assert hacked is None, "a title was run"
        assert not tab.faults, "\n".join(tab.faults)


@pytest.fixture
def tab(open_tab: Callable[..., Tab], shop: Shop) -> Tab:
    """A fresh tab of a wide window."""
    return open_tab(shop.url)


@pytest.fixture
def phone(open_tab: Callable[..., Tab], shop: Shop) -> Tab:
    """A fresh tab of a phone, dark."""
    return open_tab(shop.url, width=360, height=780, dark=True)


def axe(tab: Tab) -> None:
    """Fails where axe finds something serious or critical."""
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Runtime.evaluate", {"expression": script})  # past the page's policy, which would not let it in
    found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{one['impact']} {one['id']}: {one['help']} {[node['target'] for node in one['nodes']][:4]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not told, "\n".join(told)
