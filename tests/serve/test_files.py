"""The dashboard's files as the service sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from tests.serve.serving import Server, serving

from tastemaker.dashboard.files import Files, policy
from tastemaker.errors import ConfigError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), model=False) as found:
        yield found


@pytest.fixture(scope="module")
def page(server: Server) -> httpx.Response:
    return server.client.get("/")


def test_the_page_lets_nothing_in_from_elsewhere(page: httpx.Response) -> None:
    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'" and rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["img-src"] == "'self' data:" and rules["frame-ancestors"] == "'none'"
    assert page.headers["cache-control"] == "no-cache" and page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"https?://|<style|style=|<script>", page.text)


def test_each_file_it_names_is_there_and_may_be_kept(server: Server, page: httpx.Response) -> None:
    named = re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', page.text)
    assert len(named) > 5
    for path in named:
        got = server.client.get(path)
        assert got.status_code == 200 and "immutable" in got.headers["cache-control"], path
        assert got.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
    assert server.client.get(named[0].replace("/dashboard/", "/dashboard/old-")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["app.py", "../files.py", "%2e%2e/files.py", "..%2ffiles.py", "index.html", "", "app.js/"])
def test_nothing_else_is(server: Server, page: httpx.Response, path: str) -> None:
    version = re.search(r"/dashboard/(\w+)/", page.text)[1]
    assert server.client.get(f"/dashboard/{version}/{path}").status_code == 404


def test_it_comes_packed_or_not(server: Server) -> None:
    plain = server.client.get("/", headers={"accept-encoding": "identity"})
    packed = server.client.get("/", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.content == packed.content
    assert server.client.head("/").status_code == 200


def test_the_page_needs_no_key_and_can_be_left_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("closed"), model=False, dashboard=False) as server:
        server.key("admin")
        assert server.client.get("/").status_code == 404
    with serving(tmp_path_factory.mktemp("keys"), model=False, keys=lambda store: None) as server:
        server.key("admin")
        assert server.client.get("/").status_code == 200


def test_images_come_from_listed_origins_alone() -> None:
    assert "img-src 'self' data: https://img.shop.example;" in policy(["https://img.shop.example"])
    for origin in ("https://a.example; script-src *", "*", "javascript:x", "https://a.example/path", "a.example"):
        with pytest.raises(ConfigError, match="image_origins"):
            Files([origin])


def test_all_of_it_weighs_less_than_half_a_megabyte() -> None:
    files = Files()
    assert sum(map(len, files._packed.values())) + len(files._page) < 500_000
