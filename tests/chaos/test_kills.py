"""kill -9 of the server under load: what was acknowledged is there, once, and it is ready again soon."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from bench.serve.world import World, item
from tests.chaos.live import PATIENCE, chosen, started

from tastemaker.store import open_store

pytestmark = pytest.mark.chaos
KILLS = int(os.environ.get("TASTEMAKER_KILLS", chosen(3, 200)))


class Clients:
    """Four that send events until told to stop, each batch until it is acknowledged, and one that reads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.sent_again = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(4)] + [
            threading.Thread(target=self._read)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _write(self, number: int) -> None:
        draw, batch = random.Random(number), 0
        with httpx.Client(timeout=20) as client:
            while not self._over.is_set():
                batch += 1
                rows = [
                    {
                        "event_id": f"{number}-{batch}-{n}",
                        "user_id": f"killed-{draw.randrange(50)}",
                        "item_id": item(draw.randrange(100)),
                    }
                    for n in range(10)
                ]
                while not self._over.is_set():
                    try:
                        answer = client.post(self.url + "/v1/events", json={"events": rows})
                    except httpx.TransportError:
                        self.sent_again += 1
                        time.sleep(0.05)
                        continue
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 202:
                        taken = answer.json()
                        if taken["rejected"] or taken["accepted"] + taken["duplicates"] != 10:
                            self.wrong.append(answer.text)
                        self.acknowledged.update(row["event_id"] for row in rows)
                        break
                    time.sleep(0.05)

    def _read(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._over.is_set():
                try:
                    answer = client.post(self.url + "/v1/recommendations", json={"user_id": f"killed-{random.randrange(50)}"})
                    self.statuses[answer.status_code] += 1
                except httpx.TransportError:
                    time.sleep(0.05)


@pytest.mark.timeout(600 + 30 * KILLS)
def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(shop: World, store: str, tmp_path: Path) -> None:
    draw, waits = random.Random(0), []
    server = started(store, tmp_path, artifact=shop.artifact)
    clients = Clients(server.url)
    try:
        for _ in range(KILLS):
            known = len(clients.acknowledged)
            while len(clients.acknowledged) == known:  # each life gets to write
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 0.5))
            server.kill()
            server = started(store, tmp_path, artifact=shop.artifact)
            clients.url = server.url
            waits.append(server.ready_seconds)
    finally:
        clients.stop()
        ended = server.stop()
    assert ended == 0
    assert not clients.wrong
    assert set(clients.statuses) <= {200, 202, 503}, clients.statuses
    assert max(waits) <= (5 if KILLS > 100 else PATIENCE), f"seconds until ready: {waits}"
    with open_store(store) as opened:
        opened.verify()
        found: Counter[str] = Counter()
        for user in range(50):
            cursor = None
            while True:
                page = opened.events(user_id=f"killed-{user}", cursor=cursor, limit=1000)
                found.update(str(event.event_id) for event in page.rows)
                cursor = page.next
                if cursor is None:
                    break
    assert not clients.acknowledged - set(found), "acknowledged and lost"
    assert set(found.values()) == {1}, "doubled"
    batches = Counter(name.rsplit("-", 1)[0] for name in found)
    assert set(batches.values()) == {10}, "half a batch"
