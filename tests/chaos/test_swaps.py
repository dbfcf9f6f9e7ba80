"""Versions are promoted while requests come in: none fails, and each answer is one version's alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from bench.serve.world import World, item
from tests.chaos.live import chosen, started

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.models.popularity import Popularity
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.registry import Registry
from tastemaker.store import open_store

pytestmark = pytest.mark.chaos
SWAPS = chosen(6, 1000)
FAVOURITES = {"left": range(50), "right": range(50, 100)}
"""What each model puts before everything else; no list of ten reaches beyond."""


def fond_of(places: range, folder: Path) -> Path:
    """A model that prefers these items."""
    vocabulary = Vocabulary([item(place) for place in range(100)])
    model = Popularity(Popularity.Config(), FeatureSchema(3, vocabulary.size))
    model.counts[[place + FIRST for place in places]] = 1000.0
    nobody = Histories.of([np.zeros(0, np.int32)] * 3)
    return artifact.save(Recommender(model, Vocabulary(["nobody"]), vocabulary, nobody), folder)


class Readers:
    """Clients that ask in every way for lists, and note what is wrong with the answers."""

    def __init__(self, url: str) -> None:
        self.versions: Counter[str] = Counter()
        self.failed: list[str] = []
        self.mixed: list[str] = []
        self._over = threading.Event()
        self._url = url
        self._threads = [threading.Thread(target=self._read, args=(n,)) for n in range(3)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _read(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            turn = number
            while not self._over.is_set():
                turn += 1
                user = f"swapped-{number}-{turn % 20}"
                if turn % 3 == 0:
                    asked = {"requests": [{"user_id": user}, {"user_id": user, "limit": 5}], "distinct": False}
                    answer = client.post("/v1/recommendations:batch", json=asked)
                    found = answer.json().get("answers", [])
                    if len({(one["model"] or {}).get("name") for one in found}) > 1:
                        self.mixed.append(answer.text)
                else:
                    answer = client.post("/v1/recommendations", json={"user_id": user, "exclude_seen": turn % 2 == 0})
                    found = [answer.json()]
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                    continue
                for one in found:
                    self._check(one)

    def _check(self, answer: dict[str, Any]) -> None:
        name = (answer["model"] or {}).get("name")
        places = {int(one["item_id"].removeprefix("sku-")) for one in answer["items"]}
        if answer["status"] != "ok" or name is None:
            self.failed.append(str(answer))
        elif not places <= set(FAVOURITES[name]) or any(one["source"] != name for one in answer["items"]):
            self.mixed.append(str(answer))
        else:
            self.versions[name] += 1


@pytest.mark.timeout(600 + 10 * SWAPS)
def test_no_answer_fails_or_mixes_versions_while_they_are_swapped(shop: World, store: str, tmp_path: Path) -> None:
    with open_store(store) as opened:
        registry = Registry(opened, tmp_path / "models")
        for name, places in FAVOURITES.items():
            registry.add(fond_of(places, tmp_path / name), name)
        registry.promote("left", 1, force=True)
    with (
        started(store, tmp_path, "--models", str(tmp_path / "models")) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        readers = Readers(server.url)
        try:
            for swap in range(SWAPS):
                name = ("right", "left")[swap % 2]
                promoted = client.post(f"/v1/models/{name}/versions/1:promote", json={"force": True})
                assert promoted.status_code == 200, promoted.text
                before, until = readers.versions[name], time.monotonic() + 30
                while readers.versions[name] < before + 5 and not readers.failed and not readers.mixed:
                    assert time.monotonic() < until, f"{name} was not taken into use"
                    time.sleep(0.01)
        finally:
            readers.stop()
    assert not readers.failed, (len(readers.failed), readers.failed[:3])
    assert not readers.mixed, (len(readers.mixed), readers.mixed[:3])
