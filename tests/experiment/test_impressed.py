"""From what a service showed to a ranker that learned from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.serve import shops
from tests.serve.worlds import Clock

from tastemaker.data.features.moments import MomentsConfig
from tastemaker.errors import ArtifactError, ConfigError, DataError
from tastemaker.experiment.impressed import write_impressions
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.ranking import rank_run
from tastemaker.recommend import artifact
from tastemaker.serve.service import Service
from tastemaker.store.base import Event, Item, open_store
from tastemaker.wire.bodies import Answer, Recommend


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a shop where everybody takes what is first on their list and red."""
    place, draw, clock = tmp_path_factory.mktemp("impressed"), np.random.default_rng(0), Clock()
    with open_store(str(place / "shop.db")) as store, Service(store, clock=clock, follow=False) as service:
        store.put_items(
            [Item(shops.item(one), {"colour": shops.COLOURS[one % 3], "price": 1.5 * one + 0.25}) for one in range(shops.ITEMS)]
        )
        service.swap(shops.shop())
        for _ in range(150):
            clock.now += 60_000_000
            user = shops.user(int(draw.integers(shops.USERS)))
            (answer,) = service.recommend([Recommend(user_id=user, limit=6)])
            assert isinstance(answer, Answer)
            for shelf in answer.items:
                red = int(shelf.item_id.split()[1]) % 3 == 0
                if draw.random() < (0.9 if red else 0.1) / shelf.rank:
                    store.add_events(
                        [
                            Event(
                                user,
                                shelf.item_id,
                                clock.now + 1,
                                "click",
                                recommendation_id=answer.recommendation_id,
                                position=shelf.rank,
                            )
                        ]
                    )
        assert service.recorder.flush()
    artifact.save(shops.shop(), place / "artifact")
    return place


def test_a_ranker_is_trained_on_what_was_shown(folder: Path) -> None:
    said = write_impressions(str(folder / "shop.db"), folder / "rows.parquet", kinds=["click"])
    table = pq.read_table(folder / "rows.parquet")
    assert said["rows"] == len(table) == 900 and said["answers"] == 150
    assert {"position", "item", "item.colour", "history", "score.item_knn", "label.click"} <= set(table.column_names)
    positions = table["position"].to_numpy()
    clicks = table["label.click"].to_numpy()
    assert clicks[positions == 1].mean() > 2 * clicks[positions > 3].mean()
    config = RankConfig.parse(
        {
            "data": {"rows": "rows.parquet", "label": "label.click", "group": "recommendation_id", "time": "at"},
            "split": {"kind": "by_time", "test_share": 0.2, "validation_share": 0.2},
            "features": {"position": "position", "leave_out": ["source"]},
            "model": {"name": "lr"},
            "train": {"epochs": 8, "batch_rows": 64, "learning_rate": 0.02, "threads": 1, "device": "cpu"},
        },
        folder,
    )
    result = rank_run(config, folder / "run", ledger=Ledger(folder))
    assert result.report["test"]["metrics"]["auc"] > 0.7


def test_rows_of_an_artifact_are_those_it_reads(folder: Path) -> None:
    write_impressions(str(folder / "shop.db"), folder / "like.parquet", like=folder / "artifact")
    stages = shops.shop().stages
    assert stages is not None and stages.predictor is not None
    table = pq.read_table(folder / "like.parquet")
    assert set(stages.predictor.encoder.columns) <= set(table.column_names)
    assert np.isfinite(stages.predictor.logits(stages.predictor.encoder.encode(table))).all()


def test_what_cannot_be_made_is_said(folder: Path, tmp_path: Path) -> None:
    store = str(folder / "shop.db")
    with pytest.raises(DataError, match="purchase"):
        write_impressions(store, tmp_path / "rows.parquet", kinds=["purchase"])
    last = write_impressions(store, tmp_path / "rows.parquet")["after"]
    with pytest.raises(DataError, match="no answers"):
        write_impressions(store, tmp_path / "rows.parquet", after=last)
    with pytest.raises(ConfigError):
        write_impressions(store, tmp_path / "rows.parquet", like=folder / "artifact", moments=MomentsConfig.parse({}))
    one = shops.shop()
    artifact.save(type(one)(one.model, one.users, one.items, one.histories), tmp_path / "one")
    with pytest.raises(ArtifactError, match="one stage"):
        write_impressions(store, tmp_path / "rows.parquet", like=tmp_path / "one")
