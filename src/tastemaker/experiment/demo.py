"""Demo: the main job on the shipped sample, step by step."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tastemaker.data.config import DataConfig
from tastemaker.data.load import ImportReport, import_to, sample_path
from tastemaker.data.quality import QualityReport
from tastemaker.data.vocabulary import FIRST
from tastemaker.experiment import baselines
from tastemaker.experiment.candidates import IMPERSONAL
from tastemaker.experiment.config import read_config
from tastemaker.experiment.explore import explore
from tastemaker.experiment.ledger import runs_folder
from tastemaker.experiment.result import ARTIFACT, RunResult
from tastemaker.experiment.run import OnRecord, load_parts, train_run
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Answer, Recommender

CONFIG = """\
# The shop's last weeks are the test: nothing from the future is known when they are asked about.
[data]
events = "data"
duplicates = "first"   # ask for what a customer has not bought before
min_per_user = 3
min_per_item = 5

[split]
kind = "by_time"
test_share = 0.1
validation_share = 0.1

[model]
name = "sasrec"
dim = 48
max_length = 50
dropout = 0.4

[train]
epochs = 6

[evaluate]
metrics = ["ndcg", "recall", "hit_rate", "precision", "mrr"]
ks = [10]
new_users = "exclude"  # of whom nothing is known, nothing can be told apart
"""


@dataclass(frozen=True)
class Place:
    """Where a demo works."""

    folder: Path
    imported: ImportReport

    @property
    def data(self) -> Path:
        """The imported sample."""
        return self.folder / "data"

    @property
    def config(self) -> Path:
        """The config that was written for it."""
        return self.folder / "shop.toml"


@dataclass(frozen=True)
class Choice:
    """The model that did best on validation."""

    name: str
    words: str
    artifact: Path
    recommender: Recommender


def prepare(out: Path | None = None) -> Place:
    """Imports the sample into a folder and writes a config beside it."""
    folder = out or runs_folder() / f"demo-{datetime.fromtimestamp(time.time(), UTC):%Y%m%d-%H%M%S}"
    sample = sample_path()
    sources = {
        "events": str(sample / "events.parquet"),
        "items": str(sample / "items.parquet"),
        "users": str(sample / "users.parquet"),
    }
    imported = import_to(folder / "data", DataConfig.parse(sources, "data"))
    place = Place(folder, imported)
    place.config.write_text(CONFIG, encoding="utf-8")
    return place


def check(place: Place) -> QualityReport:
    """What is in the data, and what is wrong with it under the split."""
    return explore(str(place.config))[1]


def train(place: Place, on_record: OnRecord | None = None) -> RunResult:
    """Trains the config's model beside the tuned baselines."""
    return train_run(read_config(place.config), place.folder / "run", on_record=on_record)


def choose(place: Place, result: RunResult) -> Choice:
    """The personal model that did best on validation: the trained one, or the baseline that beat it, which is then saved too."""
    report = result.report
    metric = report["protocol"]["chosen_by"]
    scores = {report["model"]: report["validation"]["metrics"][metric]}
    scores |= {name: rival["validation"]["metrics"][metric] for name, rival in report["baselines"].items()}
    best = max((name for name in scores if name not in IMPERSONAL), key=lambda name: scores[name])
    first = max(scores, key=lambda name: scores[name])
    told = ", ".join(f"{name} {score:.4f}" for name, score in sorted(scores.items(), key=lambda pair: -pair[1]))
    words = f"{metric} on validation: {told}.\n"
    if first != best:
        words += f"{first} leads, but says the same to everybody; of the models that tell customers apart "
    else:
        words += "Of these "
    if best == report["model"]:
        return Choice(best, words + f"the deep one, {best}, is the best and is taken.", result.artifact, result.recommender)
    words += f"{best} is the best and is taken: here it beats the deep one, {report['model']}."
    dataset, parts, _ = load_parts(read_config(place.config))
    model = baselines.solved(best, report["baselines"][best]["settings"], dataset, parts.train)
    folder = artifact.save(
        Recommender.of(model, dataset), place.folder / f"{ARTIFACT}-{best}", metrics={"validation": {metric: scores[best]}}
    )
    return Choice(best, words, folder, artifact.load(folder))


def customers(recommender: Recommender, count: int = 3, k: int = 5) -> Iterator[tuple[Any, list[str], Answer]]:
    """A few customers of middling activity: what they bought last, and what they get, with reasons."""
    lengths = recommender.histories.lengths[FIRST:]
    middling = np.flatnonzero((lengths >= np.quantile(lengths, 0.4)) & (lengths <= np.quantile(lengths, 0.8)))
    places = middling[np.linspace(0, len(middling) - 1, count).astype(int)]
    for user in recommender.users.take(places).to_pylist():
        bought = [recommender.name(item) for item in recommender.history(user)[-3:]]
        yield user, bought, recommender.recommend(user, k, reasons=True)


def likenesses(recommender: Recommender, count: int = 2, k: int = 5) -> Iterator[tuple[str, Answer]]:
    """What is similar to the most sold items."""
    codes = np.argsort(-recommender.events, kind="stable")[:count]
    for item in recommender.items.decode(codes):
        yield recommender.name(item), recommender.similar(item, k)


def next_commands(place: Place, choice: Choice) -> list[str]:
    """Three commands that work as they stand."""
    (user,) = choice.recommender.users.decode([FIRST])
    folder, config = (shlex.quote(str(path)) for path in (choice.artifact, place.config))
    return [
        f"tastemaker recommend {folder} --user {shlex.quote(str(user))} --reasons",
        f"tastemaker train {config} --set model.dim=32 --set train.epochs=5",
        "tastemaker runs",
    ]
