"""Clicks that depend on places: what is wanted is learned in spite of them, on logs whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau

from tastemaker.data.synthetic_rows import click_log
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.ranking import rank_run
from tastemaker.experiment.result import RunResult
from tastemaker.recommend.predictor import load_predictor

LOG = click_log()
PLACED = {"position": "position", "by": ["query", "item"]}


def run(folder: Path, name: str, **sections: dict[str, Any]) -> RunResult:
    if not (folder / "log.parquet").exists():
        seen = LOG.examination[LOG.table["position"].to_numpy() - 1]
        pq.write_table(LOG.table.append_column("seen", pa.array(seen)), folder / "log.parquet")
    tree: dict[str, dict[str, Any]] = {
        "data": {"rows": "log.parquet", "label": "click", "group": "list"},
        "split": {"validation_share": 0.2, "test_share": 0.05},
        "features": {"leave_out": ["list", "shuffled", "seen"]},
        "train": {"epochs": 5, "batch_rows": 256, "learning_rate": 0.01, "schedule": "linear", "threads": 1, "device": "cpu"},
        "evaluate": {"baselines": []},
    }
    for section, values in ({"model": {"name": "fm", "dim": 8}} | sections).items():
        tree[section] = tree.get(section, {}) | values
    return rank_run(RankConfig.parse(tree, folder), folder / name, ledger=Ledger(folder))


def found(result: RunResult) -> np.ndarray:
    """What a predictor says of every query and item: (queries, items)."""
    return load_predictor(result.artifact).predict(LOG.every)["click"].to_numpy().reshape(LOG.relevance.shape)


def tau(said: np.ndarray) -> float:
    """Kendall's tau with what is wanted, the mean over queries."""
    return float(np.mean([kendalltau(one, wanted)[0] for one, wanted in zip(said, LOG.relevance, strict=True)]))


def ndcg(said: np.ndarray) -> float:
    discounts = 1 / np.log2(np.arange(said.shape[1]) + 2)
    gained = np.take_along_axis(LOG.relevance, np.argsort(-said, axis=1), axis=1) @ discounts
    return float((gained / (-np.sort(-LOG.relevance, axis=1) @ discounts)).mean())


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What is learned from clicks as they are."""
    unread = ["list", "shuffled", "seen", "position"]
    return found(run(tmp_path_factory.mktemp("naive"), "run", features={"leave_out": unread}))


def test_clicks_as_they_are_teach_the_order_in_which_things_were_shown(naive: np.ndarray) -> None:
    assert tau(naive) < 0.7


def test_a_position_that_is_learned_from_and_fixed_when_asked_mends_the_order(naive: np.ndarray, tmp_path: Path) -> None:
    result = run(tmp_path, "run", features={"position": "position"})
    mended = found(result)
    assert tau(mended) > tau(naive) + 0.15
    assert ndcg(mended) > ndcg(naive) + 0.01
    assert np.abs(mended - LOG.relevance).mean() < 0.08  # a click on top is a click by somebody who looks
    predictor = load_predictor(result.artifact)
    assert "position" not in predictor.encoder.columns
    rows = LOG.every.append_column("position", pa.array(np.arange(len(LOG.every)) % 8 + 1))
    assert predictor.predict(rows).equals(predictor.predict(LOG.every))
    assert any("as if shown at position 1" in note for note in result.report["notes"])


@pytest.mark.parametrize(
    ("loss", "propensity", "unread"),
    [
        ("bce", PLACED, ["list", "shuffled", "seen"]),
        ("bce", {"position": "position", "shuffled": "shuffled"}, ["list", "seen"]),
        ("bce", {"column": "seen"}, ["list", "shuffled", "position"]),
        ("listwise", PLACED, ["list", "shuffled", "seen"]),
        ("pairwise", PLACED, ["list", "shuffled", "seen"]),
        ("lambda_rank", PLACED, ["list", "shuffled", "seen"]),
    ],
)
def test_clicks_weighed_by_propensity_give_the_true_order(
    naive: np.ndarray, tmp_path: Path, loss: str, propensity: dict[str, Any], unread: list[str]
) -> None:
    result = run(tmp_path, "run", features={"leave_out": unread}, propensity=propensity, train={"loss": loss})
    mended = found(result)
    assert tau(mended) > 0.8 > tau(naive) + 0.1
    assert ndcg(mended) > ndcg(naive) + 0.01
    if loss == "bce":
        assert np.abs(mended - LOG.relevance).mean() < 0.08 < np.abs(naive - LOG.relevance).mean()
    fields = {field["name"] for field in result.report["data"]["fields"]}
    assert fields == {"query", "item"}


@pytest.mark.parametrize("model", [{"name": "fm", "dim": 8}, {"name": "dnn", "hidden": [32, 16]}])
def test_what_is_looked_at_is_learned_beside_the_ranker_and_left_behind(
    naive: np.ndarray, tmp_path: Path, model: dict[str, Any]
) -> None:
    result = run(tmp_path, "run", model=model, propensity={"position": "position", "joint": True})
    mended = found(result)
    assert tau(mended) > 0.8 > tau(naive) + 0.1
    assert np.abs(mended - LOG.relevance).mean() < 0.07
    np.testing.assert_allclose(result.report["propensity"]["examined"], LOG.examination, atol=0.05)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"features": {"position": "position"}, "propensity": PLACED}, "one of the two"),
        ({"evaluate": {"select": "log_loss"}, "propensity": PLACED}, "select = 'auc'"),
        ({"train": {"loss": "focal"}, "propensity": PLACED}, "the loss focal with propensities"),
        ({"propensity": {"positions": "position"}}, "did you mean 'position'"),
        ({"train": {"calibrate": "platt"}, "propensity": PLACED}, "train.calibrate beside"),
        ({"train": {"loss": "listwise"}, "propensity": {"position": "position", "joint": True}}, "beside propensity.joint"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(tmp_path, "run", **sections)


@pytest.mark.parametrize("propensity", [PLACED, {"position": "position", "joint": True}])
def test_training_with_the_resolved_config_repeats_the_run(tmp_path: Path, propensity: dict[str, Any]) -> None:
    once = run(tmp_path, "once", propensity=propensity, train={"epochs": 1})
    again = read_any(once.folder / "config.toml")
    assert isinstance(again, RankConfig)
    assert rank_run(again, tmp_path / "again", ledger=Ledger(tmp_path)).report["test"] == once.report["test"]


def test_a_log_without_the_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'place'"):
        run(tmp_path, "run", propensity={"position": "place", "by": ["item"]})
