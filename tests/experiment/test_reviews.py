"""A run whose model reads reviews: from a file with a column of text to an artifact that needs none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.errors import DataError
from tastemaker.experiment.config import Config
from tastemaker.experiment.run import evaluate_artifact, train_run

SENTENCES = ("the zither arrived unharmed", "a muffled kazoo for the price")


@pytest.fixture
def events(tmp_path):
    draw = np.random.default_rng(0)
    pairs = [(user, item) for user in range(30) for item in range(30) if draw.random() < 0.3]
    table = {
        "user_id": [f"u{user}" for user, _ in pairs],
        "item_id": [f"i{item}" for _, item in pairs],
        "rating": [float(np.clip(3 + (1 if item % 2 else -1) + draw.normal(0, 0.5), 1, 5)) for _, item in pairs],
        "review": [SENTENCES[item % 2] for _, item in pairs],
    }
    pq.write_table(pa.table(table), tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def config_of(events, **columns: str) -> Config:
    return Config.parse(
        {
            "data": {"events": str(events), "columns": {"value": "rating", **columns}},
            "split": {"kind": "by_share"},
            "model": {"name": "narre", "reader": "cnn", "text_dim": 4, "word_dim": 4, "vocabulary": 30},
            "train": {"epochs": 3, "threads": 1, "refit": True},
            "evaluate": {"metrics": ["rmse"]},
        }
    )


def test_the_artifact_predicts_what_the_run_did_and_holds_no_text(events, tmp_path):
    config = config_of(events, review="review")
    result = train_run(config, tmp_path / "run")
    assert result.report["test"]["metrics"]["rmse"] < 1.05
    found = evaluate_artifact(result.artifact, config)
    assert found["test"]["metrics"]["rmse"] == pytest.approx(result.report["test"]["metrics"]["rmse"])
    held = b"".join(path.read_bytes() for path in result.artifact.rglob("*") if path.is_file())
    assert not any(word.encode() in held for word in ("zither", "kazoo", "muffled"))


def test_a_run_that_is_not_told_where_reviews_are_says_so(events, tmp_path):
    with pytest.raises(DataError, match=r"interactions without reviews.*columns"):
        train_run(config_of(events), tmp_path / "run")
