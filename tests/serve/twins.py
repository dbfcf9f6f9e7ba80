"""Cold twins: a model of the items that are there, and the new ones, whose titles tell whom they suit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.data.dataset import Dataset
from tastemaker.data.item_contents import ContentConfig
from tastemaker.data.synthetic import cold_twins
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.experiment.contents import with_contents
from tastemaker.experiment.fit import build, fit
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.train.config import TrainConfig

GROUPS = 4


@dataclass(frozen=True)
class Twins:
    """The model and what it does not know."""

    recommender: Recommender
    titles: dict[str, str]
    """of new items"""
    fans: dict[str, set[str]]
    """the users that each suits"""
    known: dict[str, str]
    """titles of the items that are there"""


def taught(dataset: Dataset, content: dict[str, Any], name: str, **settings: Any) -> Recommender:
    """A model of a dataset and what its items are."""
    dataset = with_contents(dataset, ContentConfig.parse(content, "content"), dataset.interactions, Path())
    model = build(name, model_class(name).Config.parse({"dim": 16, **settings}, "model"), dataset.schema)
    train = TrainConfig.parse({"epochs": 15, "learning_rate": 0.01, "batch_targets": 64, "device": "cpu", "threads": 1})
    for _ in fit(model, dataset.interactions, train, dataset=dataset):
        pass
    return Recommender.of(model, dataset)


@cache
def twins(name: str = "content", seed: int = 0, **settings: Any) -> Twins:
    """A model of a world without its new items."""
    world = cold_twins(60, 40, GROUPS, generator=seed)
    whole = world.dataset
    rows = whole.interactions
    there = np.unique(rows.item)
    places = np.zeros(whole.items.size, np.int32)
    places[there] = np.arange(FIRST, FIRST + len(there))
    ids = [str(one) for one in whole.items.ids.take(pa.array(there - FIRST)).to_pylist()]
    titles = whole.catalogue["title"].take(pa.array(there - FIRST))
    dataset = Dataset(
        whole.users,
        Vocabulary(ids),
        rows.__class__(**{**{f: getattr(rows, f) for f in rows.__dataclass_fields__}, "item": places[rows.item]}),
        pa.table({"title": titles}),
    )
    content = {"modalities": {"title": {"encoder": "tfidf", "columns": ["title"], "settings": {"dim": 16}}}}
    recommender = taught(dataset, content, name, **settings)
    every = dict(zip(map(str, whole.items.ids.to_pylist()), whole.catalogue["title"].to_pylist(), strict=True))
    fans: dict[str, set[str]] = {}
    for row, user in enumerate(world.users):
        for code in world.answer.row(row):
            fans.setdefault(str(whole.items.decode(np.array([code]))[0]), set()).add(
                str(whole.users.decode(np.array([user]))[0])
            )
    new = {item: title for item, title in every.items() if item not in set(ids)}
    return Twins(recommender, new, fans, {item: every[item] for item in ids})
