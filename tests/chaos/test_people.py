"""What a running server keeps of people: nothing after an erasure, no item twice on pages, and nobody's clicks beyond their share."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import pytest
from bench.serve.process import Process
from bench.serve.world import World, item
from tests.chaos.live import chosen, ids, new, recommended, sent, started

pytestmark = pytest.mark.chaos


def test_an_erased_user_is_in_no_file_and_in_no_answer(shop: World, store: str, tmp_path: Path) -> None:
    canary, visitor = "canary-7f3a91", "canary-visitor-c02b"
    with started(store, tmp_path, artifact=shop.artifact) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        sent(client, *({"user_id": canary, "item_id": item(n), "context": {"page": f"{canary}/x"}} for n in range(5)))
        sent(client, {"anonymous_id": visitor, "item_id": item(9)})
        client.post(f"/v1/users/{canary}:merge", json={"from": f"anon:{visitor}"}).raise_for_status()
        client.put(f"/v1/users/{canary}", json={"properties": {"name": f"{canary}-name"}}).raise_for_status()
        client.post("/v1/events", json={"events": [{"user_id": canary, "item_id": "", "properties": {"about": canary}}]})
        first = recommended(client, canary)
        client.post(f"/v1/recommendations/{first['next_cursor']}/next").raise_for_status()
        recommended(client, "neighbour")
        until = time.monotonic() + 20
        while canary not in client.get(f"/v1/users/{canary}/export").text:
            assert time.monotonic() < until
        assert traces(tmp_path, canary), "it was there"
        receipt = client.delete(f"/v1/users/{canary}")
        assert receipt.status_code == 202
        assert receipt.json()["detail"]["removed"]["events"] == 6
        assert canary not in receipt.text
        assert traces(tmp_path, canary) == [] == traces(tmp_path, visitor)
        assert recommended(client, canary, deadline_ms=1000)["status"] == "fallback"
        assert client.get(f"/v1/recommendations/{first['next_cursor']}/next").status_code == 404
        assert client.get(f"/v1/users/{canary}").status_code == 404
        client.delete(f"/v1/users/{canary}")  # what was shown since
    assert traces(tmp_path, canary) == [] == traces(tmp_path, visitor)


def traces(folder: Path, word: str) -> list[str]:
    """Files that hold a word: the store, its log, what the server wrote."""
    return [
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()
    ]


def test_next_pages_never_repeat_an_item_while_the_user_goes_on(server: Process) -> None:
    user, over = new("pager"), threading.Event()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        sent(client, *({"user_id": user, "item_id": item(n)} for n in range(3)))

        def go_on() -> None:
            turn = 0
            while not over.is_set():
                turn += 1
                sent(client, {"user_id": user, "item_id": item(turn * 7 % 100)})

        walker = threading.Thread(target=go_on)
        walker.start()
        try:
            for _ in range(chosen(3, 100)):
                page = recommended(client, user, limit=7, exclude_seen=False)
                shown = ids(page)
                while page["next_cursor"] and page["items"]:
                    page = client.post(f"/v1/recommendations/{page['next_cursor']}/next").json()
                    assert not set(shown) & set(ids(page))
                    shown += ids(page)
                assert len(shown) > 20
        finally:
            over.set()
            walker.join(30)
        forged = client.post("/v1/recommendations/" + "A" * 60 + "/next")
        assert forged.status_code == 400


def test_clicks_without_number_of_one_client_move_an_item_by_three(server: Process) -> None:
    clicker, rare = new("clicker"), new("rare")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        sent(client, *({"user_id": new("buyer"), "item_id": rare, "type": "purchase"} for _ in range(2)))
        before = _score(client, rare, 2)
        for _ in range(chosen(8, 1000)):
            taken = sent(client, *({"user_id": clicker, "item_id": rare} for _ in range(1000)))
            assert taken["accepted"] == 1000
        after = _score(client, rare, before + 3)
        assert after <= before + 3.01
        time.sleep(0.5)
        assert _score(client, rare, 0) <= before + 3.01
        held = client.get("/v1/events", params={"item_id": rare, "limit": 1000}).json()
        assert len(held["events"]) == 1000, "none of them is lost"


def _score(client: httpx.Client, name: str, least: float) -> float:
    """What the popular list counts for an item, once it is as high as it must become."""
    until = time.monotonic() + 30
    while True:
        listed = client.get("/v1/popular", params={"limit": 1000, "include": "score"}).json()["items"]
        found = next((float(one["score"]) for one in listed if one["item_id"] == name), -1.0)
        if found >= least:
            return found
        assert time.monotonic() < until, (found, least)
        time.sleep(0.1)


def test_a_new_item_is_recommended_within_five_seconds(server: Process) -> None:
    fresh, user = new("fresh"), new("reader")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        like = client.get(f"/v1/items/{item(4)}").json()
        sent(client, *({"user_id": user, "item_id": item(n)} for n in (1, 2, 3)))
        client.put(
            f"/v1/items/{fresh}", json={"properties": like["properties"], "categories": like["categories"]}
        ).raise_for_status()
        until = time.monotonic() + chosen(30, 5)
        while fresh not in ids(recommended(client, user, limit=1000)):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert fresh not in ids(recommended(client, user, limit=1000, exclude_item_ids=[fresh]))
        assert client.delete(f"/v1/items/{fresh}").status_code == 204
        assert fresh not in ids(recommended(client, user, limit=1000))
