"""From a [content] section to lists that hold what nobody has touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest

from tastemaker.errors import ConfigError
from tastemaker.experiment.config import Config, read_config
from tastemaker.experiment.run import evaluate_artifact, train_run
from tastemaker.recommend import artifact

WORDS = {"tea": ("kettle", "leaf", "cup", "saucer"), "garden": ("spade", "seed", "hose", "glove")}
TEXT = {"modalities": {"title": {"encoder": "tfidf", "columns": ["title"], "settings": {"dim": 8}}}}


def shop(folder: Path) -> Path:
    """Thirty people take things of one kind each; four things are new on the last day, when all take one of their kind."""
    rng = np.random.default_rng(0)
    names = {
        f"{kind}{number}": " ".join([*rng.choice(words, 2), kind]) for kind, words in WORDS.items() for number in range(10)
    }
    rows = []
    for user in range(40):
        kind = ("tea", "garden")[user % 2]
        for day, item in enumerate(rng.permutation(8)):
            rows.append((f"u{user}", f"{kind}{item}", f"2026-01-{1 + day:02}T{rng.integers(24):02}:00:00"))
        rows.append((f"u{user}", f"{kind}{8 + user // 2 % 2}", f"2026-02-01T{rng.integers(24):02}:00:00"))
    columns = list(zip(*rows, strict=True))
    csv.write_csv(pa.table(dict(zip(("user", "item", "date"), map(pa.array, columns), strict=True))), folder / "events.csv")
    csv.write_csv(pa.table({"item": pa.array(names), "title": pa.array(names.values())}), folder / "items.csv")
    return folder


def config(folder: Path, model: dict[str, Any], content: dict[str, Any]) -> Config:
    tree = {
        "data": {"events": "events.csv", "items": "items.csv", "columns": {"user": "user", "item": "item", "time": "date"}},
        "split": {"kind": "by_time", "at": "2026-01-20T00:00:00", "validation_share": 0.1},
        "content": content,
        "model": model,
        "train": {"epochs": 12, "learning_rate": 0.01, "batch_targets": 64, "device": "cpu", "threads": 1},
        "evaluate": {"baselines": [], "ks": [2], "metrics": ["recall"], "select": "recall@2"},
    }
    if not content:
        del tree["content"]
    return Config.parse(tree, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("contents"))


@pytest.mark.parametrize("name", ["content", "sasrec", "mf"])
def test_what_nobody_has_touched_is_recommended_to_whom_it_suits(name: str, folder: Path, tmp_path: Path) -> None:
    settings = {"name": name, "dim": 16}
    result = train_run(config(folder, settings, TEXT), tmp_path / "run")
    assert result.report["test"]["metrics"]["recall@2"] >= 0.9
    again = evaluate_artifact(result.artifact, read_config(result.folder / "config.toml"))
    assert again["test"]["metrics"] == result.report["test"]["metrics"]
    opened = artifact.load(result.artifact)
    assert [one.item[:3] for one in opened.recommend("u0", 1)] == ["tea"]
    assert opened.encoding is not None
    told = opened.encoding.of_rows([{"title": "kettle leaf tea"}, {"title": None}, {}], opened.catalogue)
    assert told.present["title"].tolist() == [True, False, False]
    grown = opened.model.grown(told)
    assert grown.schema.num_items == opened.items.size + 3


def test_what_comes_later_has_no_vector_of_use(folder: Path, tmp_path: Path) -> None:
    for modalities in ({"use": {"encoder": "item2vec"}}, {"use": {"encoder": "item2vec"}, **TEXT["modalities"]}):
        result = train_run(
            config(folder, {"name": "sasrec", "dim": 8}, {"modalities": modalities}), tmp_path / str(len(modalities))
        )
        opened = artifact.load(result.artifact)
        assert opened.encoding is not None
        told = opened.encoding.of_rows([{"title": "kettle leaf tea"}, {}], opened.catalogue)
        assert not told.present["use"].any() and not told.values["use"].any()
        assert {name: rows.shape[0] for name, rows in told.values.items()} == dict.fromkeys(modalities, 2)
        assert opened.model.grown(told).schema.num_items == opened.items.size + 2


def test_the_vectors_of_an_artifact_are_made_by_what_it_holds(folder: Path, tmp_path: Path) -> None:
    result = train_run(config(folder, {"name": "content", "dim": 8}, TEXT | {"pretrain_epochs": 2}), tmp_path / "run")
    opened = artifact.load(result.artifact)
    assert opened.encoding is not None
    made = opened.encoding.of_table(opened.catalogue, codes=True)
    table = opened.model.item_embedding
    np.testing.assert_allclose(
        table._scaled(0, made.values["title"], made.present["title"]).numpy(), table.contents_0.numpy(), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "content", "words"),
    [
        ("sasrec", {"fusion": "gated"}, "nothing to fuse"),
        ("dae", TEXT, "learns nothing from what items are"),
        ("content", {}, "content without contents"),
        ("sasrec", {"modalities": {"title": {"encoder": "tf-idf", "columns": ["title"]}}}, "tfidf"),
        ("sasrec", {"modalities": {"title": {"encoder": "tfidf", "columns": ["titel"]}}}, "title"),
        ("sasrec", {"modalities": {"title": {"encoder": "tfidf"}}}, "columns of the catalogue"),
        ("sasrec", {"modalities": {"use": {"encoder": "item2vec", "columns": ["title"]}}}, "reads what users did"),
        ("sasrec", {"modalities": {"title": {"encoder": "tfidf", "columns": ["title"], "settings": {"dims": 3}}}}, "dim"),
        ("sasrec", {"fussion": "gated"}, "fusion"),
    ],
)
def test_a_section_that_makes_no_sense_says_so(
    model: str, content: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_run(config(folder, {"name": model}, content), tmp_path / "run")
    assert words in str(caught.value) + str(caught.value.hint)
