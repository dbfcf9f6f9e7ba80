"""The client for web pages, in a real browser on a page of another origin."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.serve.serving import Server, serving

from tastemaker.serve.auth import new_key
from tastemaker.store.base import Item

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'


def test_it_is_small_and_public(served: tuple[Server, str, str]) -> None:
    server, *_ = served
    got = server.client.get("/v1/tastemaker.js")
    assert (got.status_code, got.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "max-age" in got.headers["cache-control"] and got.headers.get_list("cache-control") == ["public, max-age=3600"]
    assert len(got.content) < 6000


@contextmanager
def page(folder: Path) -> Iterator[str]:
    """The origin of a shop's own pages."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    shop = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=shop.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{shop.server_address[1]}"
    finally:
        shop.shutdown()
        thread.join()
        shop.server_close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, str]]:
    """A service with a browser key, the shop's origin and the key's secret."""
    folder = tmp_path_factory.mktemp("shop")
    key, secret = new_key([], browser=True)
    with page(folder) as shop, serving(folder, keys=lambda store: store.add_key(key), origins=(shop,)) as server:
        server.store.put_items([Item(f"i{n}", {"title": ATTACK, "link": "javascript:window.hacked=3"}) for n in range(2, 42)])
        server.service.refresh()
        html = f'<!doctype html><body><div id="shelf"></div><script src="{server.url}/v1/tastemaker.js"></script></body>'
        (folder / "index.html").write_text(html)
        yield server, shop, secret


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("no chromium; `apt install chromium` brings it")
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield running
        running.close()


@pytest.fixture
def tab(browser: Any, served: tuple[Server, str, str]) -> Iterator[Any]:
    """A visitor's first page."""
    context = browser.new_context()
    found = context.new_page()
    found.goto(served[1])
    yield found
    context.close()


def begin(tab: Any, url: str, secret: str, consent: bool = True) -> None:
    tab.evaluate("(options) => { window.tm = Tastemaker(options); }", {"url": url, "key": secret, "consent": consent})


def events(server: Server, user: str) -> list[Any]:
    return server.store.events(user_id=user).rows


def wait_for(claim: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)


TEMPLATE = (
    '<a href="/p/{{item_id}}" title="{{properties.title}}" onclick="{{properties.title}}" data-id="{{ item_id }}">'
    '{{properties.title}}</a><a class="bad" href="{{properties.link}}">x</a><script>window.hacked={{rank}}</script>'
)


def test_a_title_is_text_whatever_it_holds(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret)
    answer = tab.evaluate(
        """async (template) => {
            const answer = await tm.recommend({limit: 5});
            tm.render(document.querySelector("#shelf"), answer, template);
            return answer;
        }""",
        TEMPLATE,
    )
    assert len(answer["items"]) == 5
    links = tab.locator("#shelf a[data-id]")
    assert links.all_text_contents() == [ATTACK] * 5
    assert links.first.get_attribute("href") == f"/p/{answer['items'][0]['item_id']}"
    assert links.first.get_attribute("title") == ATTACK and links.first.get_attribute("onclick") is None
    assert [one.get_attribute("href") for one in tab.locator("#shelf a.bad").all()] == [None] * 5
    assert tab.locator("#shelf img, #shelf script").count() == 0
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.hacked") is None


def test_a_click_says_which_answer_and_place(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret)
    answer = tab.evaluate(
        """async () => {
            const answer = await tm.recommend({limit: 5});
            tm.render(document.querySelector("#shelf"), answer, '<a href="#x">{{item_id}}</a>');
            return answer;
        }"""
    )
    visitor = "anon:" + tab.evaluate("tm.anonymousId()")
    tab.locator("#shelf a").nth(2).click()
    wait_for(lambda: events(server, visitor))
    found = events(server, visitor)[0]
    assert (found.kind, found.item_id, found.position) == ("click", answer["items"][2]["item_id"], 3)
    assert found.recommendation_id == answer["recommendation_id"] and found.session_id == tab.evaluate("tm.sessionId()")
    assert found.item_id not in [one["item_id"] for one in tab.evaluate("tm.recommend({limit: 20})")["items"]]


def test_events_survive_a_reload_and_a_bad_line(tab: Any, served: tuple[Server, str, str]) -> None:
    server, shop, secret = served
    begin(tab, "http://127.0.0.1:9", secret)
    tab.evaluate("tm.track({item_id: 'i4'}); tm.track({item_id: 'i5', type: 'cart', value: 2})")
    visitor = "anon:" + tab.evaluate("tm.anonymousId()")
    tab.wait_for_timeout(200)
    assert events(server, visitor) == [] and tab.evaluate("tm.queue().length") == 2
    tab.goto(shop)
    begin(tab, server.url, secret)
    wait_for(lambda: len(events(server, visitor)) == 2)
    assert tab.evaluate("tm.anonymousId()") == visitor.removeprefix("anon:")
    wait_for(lambda: tab.evaluate("tm.queue().length") == 0)
    assert {(one.item_id, one.kind, one.value) for one in events(server, visitor)} == {("i4", "view", 1.0), ("i5", "cart", 2.0)}


def test_an_event_sent_again_counts_once(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret)
    visitor = "anon:" + tab.evaluate("tm.anonymousId()")
    event = tab.evaluate("tm.track({item_id: 'i4'})")
    wait_for(lambda: events(server, visitor))
    wait_for(lambda: tab.evaluate("tm.queue().length") == 0)
    tab.evaluate("(id) => tm.track({item_id: 'i4', event_id: id})", event)
    wait_for(lambda: tab.evaluate("tm.queue().length") == 0)
    assert len(events(server, visitor)) == 1


def test_without_consent_nothing_is_kept(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret, consent=False)
    visitor = tab.evaluate("(tm.track({item_id: 'i4'}), tm.anonymousId())")
    wait_for(lambda: events(server, f"anon:{visitor}"))
    assert tab.evaluate("localStorage.length") == 0
    tab.evaluate("tm.setConsent(true)")
    assert tab.evaluate("localStorage.getItem('tastemaker.anonymous')") == visitor
    tab.evaluate("tm.setConsent(false)")
    assert tab.evaluate("localStorage.length") == 0
    assert tab.evaluate("tm.anonymousId()") != visitor


def test_an_event_on_leaving_the_page_arrives(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret, consent=False)
    visitor = tab.evaluate("tm.anonymousId()")
    tab.evaluate("(tm.track({item_id: 'i4', type: 'leave'}), location.assign('about:blank'))")
    wait_for(lambda: events(server, f"anon:{visitor}"))


def test_refusals_say_why(tab: Any, served: tuple[Server, str, str]) -> None:
    server, _, secret = served
    begin(tab, server.url, secret)
    told = tab.evaluate("tm.recommend({user_id: 'u1'}).catch((error) => [error.status, error.code])")
    assert told == [403, "other_user"]
