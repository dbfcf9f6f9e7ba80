"""Every batch three times over HTTP, reordered and at once: the state is that of sending each once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.serve.world import World, item
from tests.chaos.live import chosen, recommended, sent, started

from tastemaker.store import open_store
from tastemaker.store.base import Store

pytestmark = pytest.mark.chaos
BATCHES, SIZE = chosen(15, 300), 40
USERS = [f"thrice-{n}" for n in range(12)]
START = 1_780_000_000


def batches() -> list[list[dict[str, Any]]]:
    draw = random.Random(1)
    minutes = iter(
        draw.sample(range(BATCHES * SIZE), BATCHES * SIZE)
    )  # no two alike: what came at one moment stands as it arrived
    return [
        [
            {
                "event_id": f"{batch}-{n}",
                "user_id": draw.choice(USERS),
                "item_id": item(draw.randrange(100)),
                "type": draw.choice(["view", "cart", "purchase"]),
                "timestamp": START + next(minutes) * 60,
            }
            for n in range(SIZE)
        ]
        for batch in range(BATCHES)
    ]


def state(store: Store) -> dict[str, Any]:
    """All that answers and trainings are made of."""
    rows = [row for batch in store.scan_events() for row in batch.to_pylist() if row["user_id"] in set(USERS)]
    return {
        "events": sorted((row["user_id"], row["item_id"], row["time"], row["kind"]) for row in rows),
        "histories": [sorted((done.time, done.item_id, done.kind) for done in one) for one in store.histories(USERS)],
        "seen": store.seen(USERS),
        "counts": [store.counts((START + hours * 3600) * 1_000_000) for hours in (0, 24, 72)],
    }


def test_batches_sent_thrice_reordered_and_at_once_leave_the_state_of_once(shop: World, store: str, tmp_path: Path) -> None:
    with started(store, tmp_path, artifact=shop.artifact) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        thrice = [random.Random(turn).sample(batch, len(batch)) for turn in range(3) for batch in batches()]
        random.Random(0).shuffle(thrice)
        with ThreadPoolExecutor(8) as threads:
            taken = list(threads.map(lambda batch: sent(client, *batch), thrice))
        assert sum(one["accepted"] for one in taken) == BATCHES * SIZE
        assert sum(one["duplicates"] for one in taken) == 2 * BATCHES * SIZE
        lists = [recommended(client, user, limit=20)["items"] for user in USERS]
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "shop.db").write_bytes(shop.store.read_bytes())
        other = f"sqlite:///{tmp_path / 'other' / 'shop.db'}"
        with (
            started(other, tmp_path / "other", artifact=shop.artifact) as once,
            httpx.Client(base_url=once.url, timeout=60) as simple,
        ):
            ordered = sorted((row for batch in batches() for row in batch), key=lambda row: row["timestamp"])
            for start in range(0, len(ordered), 500):
                sent(simple, *ordered[start : start + 500])
            expected = [recommended(simple, user, limit=20)["items"] for user in USERS]
    with open_store(store) as ours, open_store(other) as theirs:
        assert state(ours) == state(theirs)
    strangers = [user for user, found, wanted in zip(USERS, lists, expected, strict=True) if found != wanted]
    assert not strangers, "users whose list depends on how their events came in"
