"""The map of the items: made once for a version, the same bytes for everybody, points that lead to items."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve import towns
from tests.serve.serving import Server, serving
from tests.serve.worlds import opened

from tastemaker.data.interactions import Histories
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.browse.chart import NONE, _squared
from tastemaker.serve.registry import Registry
from tastemaker.serve.service import Service
from tastemaker.store.base import open_store
from tastemaker.wire.bodies import ItemBody


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town")) as found:
        found.service.put_item("i4", ItemBody(properties={"title": "<b>Blue</b>"}, categories=["mugs", "blue"]))
        found.service.put_item("i5", ItemBody(categories=["mugs"], hidden=True))
        found.service.refresh()
        found.service.finder._surveys.take(found.service.view)
        yield found


@cache
def model() -> Recommender:
    """One with vectors of its items."""
    return towns.model("sasrec", epochs=1, dim=16)


@cache
def knn() -> Recommender:
    """One without."""
    return towns.model("item_knn")


def ready(ask: Any) -> Any:
    for _ in range(600):
        told = ask()
        if told["state"] != "computing":
            return told
        time.sleep(0.05)
    raise AssertionError("no map within half a minute")


def parsed(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The format as it is documented, read by somebody else."""
    assert content[:4] == b"TMAP"
    (length,) = struct.unpack_from("<I", content, 4)
    head = json.loads(content[8 : 8 + length])
    at, lines = 8 + length + -length % 4, {}
    for name, kind in (("x", "<u2"), ("y", "<u2"), ("category", "<u2"), ("popularity", "u1"), ("state", "u1")):
        lines[name] = np.frombuffer(content, kind, head["points"], at)
        at += lines[name].nbytes
    assert at == len(content)
    return head, lines


def test_a_map_is_asked_for_made_and_sent(server: Server) -> None:
    client = server.client
    told = ready(lambda: client.get("/v1/catalogue/map").json())
    assert told["state"] == "ready" and told["source"] == "co_occurrence" and told["detail"] == ""
    assert 0.3 < told["quality"]["trustworthiness"] <= 1
    answer = client.get("/v1/catalogue/map/points")
    assert answer.headers["content-type"] == "application/octet-stream" and "content-encoding" not in answer.headers
    head, lines = parsed(answer.content)
    assert (head["map"], head["points"]) == (told["map"], told["points"]) and told["points"] > 10
    assert {"mugs", "blue"} <= set(head["categories"])
    again = client.get("/v1/catalogue/map/points", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])

    points = {"map": head["map"], "points": ",".join(map(str, range(head["points"])))}
    items = client.get("/v1/catalogue/map/items", params=points).json()["items"]
    by_id = {item["item_id"]: item for item in items}
    assert by_id["i4"]["title"] == "<b>Blue</b>" and by_id["i5"]["state"] == "hidden"
    for item in items:
        point, category = item["point"], lines["category"][item["point"]]
        assert lines["state"][point] == (item["state"] == "available")
        assert item["category"] == (None if category == NONE else head["categories"][category])
    listed = client.get("/v1/items", params={"sort": "popular", "limit": 1000}).json()["items"]
    ranks = [int(lines["popularity"][by_id[one["item_id"]]["point"]]) for one in listed if one["item_id"] in by_id]
    assert ranks == sorted(ranks, reverse=True) and (ranks[0], ranks[-1]) == (255, 0)
    assert client.get("/v1/catalogue/map/items", params={**points, "points": "999999"}).json()["items"] == []


def test_a_search_lights_up_points(server: Server) -> None:
    client = server.client
    name = ready(lambda: client.get("/v1/catalogue/map").json())["map"]

    def lit(**query: str) -> set[str]:
        found = client.get("/v1/catalogue/map/search", params={"map": name, **query}).json()
        assert found["total"] == len(found["points"])
        points = ",".join(map(str, found["points"]))
        return {
            one["item_id"]
            for one in client.get("/v1/catalogue/map/items", params={"map": name, "points": points}).json()["items"]
        }

    assert lit(query="blue b") == {"i4"} == lit(item_id="i4")
    assert lit(category="mugs") == {"i4", "i5"}
    assert lit(list="hidden") == {"i5"}
    assert lit(query="nothing like it") == set() == lit(item_id="never heard of")
    for path in ("items?map=other&points=1", "search?map=other&query=x"):
        refused = client.get(f"/v1/catalogue/map/{path}")
        assert (refused.status_code, refused.json()["code"]) == (409, "another_map")


def test_without_a_model_or_vectors_it_is_said_why(tmp_path: Path) -> None:
    with opened(tmp_path, None) as (service, _, _):
        told = service.finder.map()
        assert (told.state, told.detail) == ("unavailable", "there is no model")
    (tmp_path / "grid").mkdir()
    told_nothing = Histories.of([np.zeros(0, np.int32)] * knn().users.size)
    forgetful = Recommender(knn().model, knn().users, knn().items, told_nothing, events=knn().events)
    with opened(tmp_path / "grid", forgetful) as (service, _, _):
        assert service.finder.map().state == "unavailable" and "who met what" in service.finder.map().detail


def test_a_map_is_kept_beside_its_version_and_found_again(tmp_path: Path) -> None:
    saved = artifact.save(model(), tmp_path / "artifact")
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        version = Registry(store, tmp_path / "models").add(saved, "sasrec")
        path = Path(version.path).with_name("1.map.npz")

        def chart() -> bytes:
            with Service(store, follow=False) as service:
                service.swap(artifact.load(saved), version)
                told = ready(lambda: {"state": service.finder.map().state})
                assert told["state"] == "ready"
                reply = service.finder.map()
                assert reply.source == "vectors" and reply.points == len(model().items)
                return service.finder.chart().content

        first = chart()
        made = path.stat().st_mtime_ns
        assert chart() == first and path.stat().st_mtime_ns == made, "read, not made"
        path.write_bytes(b"no map at all")
        assert chart() == first and path.stat().st_mtime_ns != made, "made again, and the same"
        with Service(store, follow=False) as service:
            service.swap(artifact.load(saved), replace(version, version=0, path=str(saved)))
            ready(lambda: {"state": service.finder.map().state})
        assert not list(tmp_path.glob("*.map.npz")), "nothing is written beside an artifact of somebody's own"


def test_a_service_that_closes_ends_what_is_being_made(tmp_path: Path) -> None:
    with opened(tmp_path, model()) as (service, _, _):
        assert service.finder.map().state == "computing"
        for _ in range(200):
            if service.finder._maps._process is not None:
                break
            time.sleep(0.02)
        process = service.finder._maps._process
        began = time.monotonic()
    assert process is not None and process.poll() is not None and time.monotonic() - began < 5


def test_points_keep_their_shape_in_whole_numbers() -> None:
    layout = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32) * [4, 1]
    found = _squared(layout.astype(np.float32)).astype(np.float64)
    spread = found.std(axis=0)
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.05)
    assert found.min() >= 0 and found.max() <= 65_535 and (found[:, 0].max() - found[:, 0].min()) > 60_000
    assert _squared(np.zeros((1, 2), np.float32)).tolist() == [[32768, 32768]]
