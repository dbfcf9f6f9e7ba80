"""Two stages learned from a store: events, items and users of it, a version that passes the gate, and a job that trains another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.experiment.test_two_stage import shop

from tastemaker.errors import ConfigError
from tastemaker.serve import training
from tastemaker.serve.registry import Registry
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import Event, Item, User, open_store

TREE: dict[str, Any] = {
    "split": {"kind": "by_time", "test_share": 0.25, "validation_share": 0.35},
    "sources": {"popularity": {"depth": 60}, "knn": {"model": "item_knn", "depth": 60}},
    "ranker": {"name": "deepfm", "hidden": [16], "dim": 4},
    "train": {"epochs": 4, "learning_rate": 0.005, "threads": 1, "device": "cpu"},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the shop of the runs."""
    folder = tmp_path_factory.mktemp("store")
    shop(folder)
    events, items, users = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("events", "items", "users"))
    with open_store(str(folder / "shop.db")) as store:
        store.put_items([Item(row["item"], {"colour": row["colour"], "price": row["price"]}) for row in items])
        store.put_users([User(row["user"], {"age": row["age"]}) for row in users])
        store.add_events([Event(row["user"], row["item"], row["time"] * 1_000_000) for row in events])
    return str(folder / "shop.db")


def test_a_job_trains_judges_and_promotes_both_stages(url: str, tmp_path: Path) -> None:
    with open_store(url) as store:
        registry = Registry(store, tmp_path / "models", limits=GateSettings.parse({"min_users": 20}))
        said: list[dict[str, Any]] = []
        detail = {"name": "stages", "config": TREE, "created": 0, "promote": True}
        result = training.work(registry, "job-1", detail, tmp_path / "run", lambda **what: said.append(what), 1)
        assert result["promoted"], result
        version = registry.find("stages", 1)
        recommender = registry.load(version)
        assert recommender.stages is not None and recommender.stages.predictor is not None
        fields = recommender.stages.predictor.encoder.columns
        assert {"item.colour", "item.price", "user.age", "like.colour"} <= set(fields)
        assert any(one.get("phase") == "training" for one in said)
        assert not (tmp_path / "run" / "data").exists()


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (TREE | {"data": {"events": "/etc/passwd"}}, "events from the store"),
        (TREE | {"sources": {"popularity": {"depht": 3}}}, "depht"),
        ({"sources": TREE["sources"]}, "ranker"),
    ],
)
def test_what_a_job_may_not_say(tree: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        training.config_of(tree)
