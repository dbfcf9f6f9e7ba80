"""A database that is slow, deaf or gone: lists go on, marked as degraded; writes are refused honestly; and all is well again afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.serve.process import Process
from bench.serve.world import World, item
from tests.chaos.live import chosen, ids, recommended, sent, started
from tests.chaos.proxy import Proxy
from tests.conftest import Cluster

from tastemaker.store import open_store
from tastemaker.store.base import Event

pytestmark = pytest.mark.chaos
SECONDS = chosen(3.0, 30.0)


@dataclass
class Site:
    """A server whose database is behind a proxy."""

    server: Process
    client: httpx.Client
    proxy: Proxy


@pytest.fixture(scope="module")
def site(shop: World, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_store(cluster.url()) as store:
        now = time.time_ns() // 1000
        store.add_events([Event(f"far-{user}", item(user * 3 + place), now) for user in range(20) for place in range(3)])
    with Proxy(cluster.folder / ".s.PGSQL.5432").running() as proxy:
        url = f"postgresql://tester@127.0.0.1:{proxy.port}/postgres"
        with (
            started(url, tmp_path_factory.mktemp("far"), artifact=shop.artifact) as server,
            httpx.Client(base_url=server.url, timeout=40) as client,
        ):
            for user in range(10):
                assert recommended(client, f"far-{user}")["status"] == "ok"
            yield Site(server, client, proxy)


@pytest.mark.parametrize("fault", ["gone", "slow", "deaf"])
def test_lists_go_on_without_the_database_and_all_is_well_afterwards(site: Site, fault: str) -> None:
    client, wrong, slowest, statuses = site.client, [], 0.0, Counter()
    last = ids(recommended(client, "far-1"))
    site.proxy.set(fault)
    writes: list[Any] = []
    writer = threading.Thread(
        target=lambda: writes.append(client.post("/v1/events", json={"events": [{"user_id": "far-1", "item_id": item(1)}]}))
    )
    writer.start()
    try:
        until, turn = time.monotonic() + SECONDS, 0
        while time.monotonic() < until:
            turn += 1
            began = time.monotonic()
            asked: tuple[str, str, Any] = (
                ("POST", "/v1/recommendations", {"user_id": f"far-{turn % 10}"}),
                ("POST", "/v1/recommendations", {"user_id": f"stranger-{turn}"}),
                ("POST", "/v1/sessions/recommendations", {"events": [{"item_id": item(turn % 100)}]}),
                ("GET", "/v1/popular", None),
                ("POST", "/v1/rank", {"user_id": "far-2", "item_ids": [item(1), item(2)]}),
                ("GET", f"/v1/items/{item(5)}/similar", None),
                ("POST", "/v1/items:complementary", {"item_ids": [item(5)]}),
            )[turn % 7]
            answer = client.request(asked[0], asked[1], json=asked[2])
            slowest = max(slowest, time.monotonic() - began)
            statuses[answer.status_code] += 1
            if answer.status_code != 200:
                wrong.append((asked, answer.text))
            elif asked[1] == "/v1/recommendations":
                statuses[answer.json()["status"]] += 1
        assert client.get("/livez").status_code == 200
        during = recommended(client, "far-1")
    finally:
        site.proxy.set("pass")
        writer.join(60)
    assert not wrong, wrong[:3]
    assert statuses["degraded"] > 0, statuses
    assert during["status"] == "degraded" and during["items"]
    assert ids(during) == last, "the last list of that user"
    assert slowest < 3, "a stage waited beyond its budget"
    assert [answer.status_code for answer in writes] in ([202], [503]), writes
    assert writes[0].elapsed.total_seconds() < chosen(8, 5), "a write waited beyond its budget"
    if writes[0].status_code == 503:
        assert writes[0].headers["retry-after"]
    until = time.monotonic() + 30
    while recommended(client, "far-1")["status"] != "ok":
        assert time.monotonic() < until, "it did not recover"
        time.sleep(0.1)
    assert sent(client, {"user_id": "far-1", "item_id": item(50)})["accepted"] == 1
    assert item(50) not in ids(recommended(client, "far-1", limit=50))


def test_a_database_restarted_under_load_costs_no_list(shop: World, own_cluster: Cluster, tmp_path: Path) -> None:
    with open_store(own_cluster.url()) as store:
        store.add_events([Event("u", item(1), time.time_ns() // 1000)])
    with (
        started(own_cluster.url(), tmp_path, artifact=shop.artifact) as server,
        httpx.Client(base_url=server.url, timeout=40) as client,
    ):
        assert recommended(client, "u")["status"] == "ok"
        over, wrong = threading.Event(), []

        def read() -> None:
            with httpx.Client(base_url=server.url, timeout=40) as reader:
                while not over.is_set():
                    answer = reader.post("/v1/recommendations", json={"user_id": "u"})
                    if answer.status_code != 200:
                        wrong.append(answer.text)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            own_cluster.stop()
            time.sleep(1)
            own_cluster.start()
            until = time.monotonic() + 30
            while recommended(client, "u")["status"] != "ok":
                assert time.monotonic() < until
                time.sleep(0.1)
            assert sent(client, {"user_id": "u", "item_id": item(2)})["accepted"] == 1
        finally:
            over.set()
            for reader in readers:
                reader.join(60)
        assert not wrong, wrong[:3]


def test_reads_that_hang_take_no_list_along(site: Site) -> None:
    recommended(site.client, "far-3")
    site.client.get("/v1/popular").raise_for_status()
    site.proxy.set("deaf")
    waiting: list[int] = []

    def read(place: int) -> None:
        with httpx.Client(base_url=site.server.url, timeout=60) as client:
            waiting.append(client.get(f"/v1/items/{item(place)}").status_code)

    readers = [threading.Thread(target=read, args=(place,)) for place in range(12)]
    try:
        for reader in readers:
            reader.start()
        time.sleep(1)
        began = time.monotonic()
        listed = site.client.get("/v1/popular", timeout=60)
        took = time.monotonic() - began
    finally:
        site.proxy.set("pass")
        for reader in readers:
            reader.join(60)
    assert listed.status_code == 200, listed.text
    assert took < 5, f"it waited {took:.0f} s behind reads of the catalogue"
    assert set(waiting) <= {200, 404, 503}
