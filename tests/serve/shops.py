"""A shop whose lists are made in two stages: two sources and a ranker that reads everything there is; nothing is trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

import tastemaker as tm
from tastemaker.data.dataset import Dataset
from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Moments, MomentsConfig
from tastemaker.data.features.popularity import Tally
from tastemaker.data.schema import RowSchema
from tastemaker.experiment import fit
from tastemaker.models.base import Model, Solvable
from tastemaker.rankers.base import Ranker
from tastemaker.recommend.predictor import Predictor
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sources import Source
from tastemaker.recommend.stages import Stages
from tastemaker.resolve import model_class, ranker_class

from .worlds import NOW

USERS, ITEMS, DEPTH = 60, 80, 12
DAY = 86_400_000_000
COLOURS = ("red", "green", "blue")
TAGS = ("a", "b", "c", "d", "e")


def item(place: int) -> str:
    return f"item {place}"


def user(place: int) -> str:
    return f"user {place}"


@cache
def data() -> Dataset:
    """What training knew: half a year that ended yesterday."""
    draw = np.random.default_rng(0)
    rows = 900
    users, items = draw.integers(0, USERS, rows), (draw.random(rows) ** 2 * ITEMS).astype(int)
    return tm.load(
        {
            "user_id": [user(one) for one in users],
            "item_id": [item(one) for one in items],
            "time": NOW - DAY - draw.integers(0, 180 * DAY, rows),
        },
        items={
            "item_id": [item(one) for one in range(ITEMS)],
            "colour": [COLOURS[one % 3] for one in range(ITEMS)],
            "tags": [[TAGS[one % 5], TAGS[one * 3 % 5]] for one in range(ITEMS)],
            "price": [1.5 * one + 0.25 for one in range(ITEMS)],
            "size": [str(one % 7) for one in range(ITEMS)],
        },
        users={
            "user_id": [user(one) for one in range(USERS)],
            "age": [18.0 + one for one in range(USERS)],
            "city": [("Rome", "Oslo", "Lima")[one % 3] for one in range(USERS)],
            "since": [f"20{10 + one % 12}-0{1 + one % 9}-11" for one in range(USERS)],
        },
    )


def stages(names: tuple[str, ...] = ("item_knn", "popularity"), ranker: str = "dcnv2", **moments: Any) -> Stages:
    """Sources that know the shop, and a ranker with weights drawn at random."""
    dataset = data()
    config = MomentsConfig.parse(moments)
    sources = tuple(Source(name, Scoring(_solved(name, dataset)), DEPTH) for name in names)
    made = Moments(
        config,
        dataset.items,
        dataset.catalogue,
        dataset.users,
        dataset.profiles,
        Tally.of(dataset.interactions, config.popularity),
        names,
    )
    blank = Stages(sources, made, None, NOW - DAY)
    codes = np.arange(2, dataset.users.size)
    histories = dataset.interactions.histories(dataset.users.size).take(codes)
    asked = blank.asked(codes.astype(np.int32), histories, np.full(len(codes), NOW - DAY), blank.pool(codes, histories))
    fields = {"item.size": {"kind": "number"}, "user.since": {"kind": "time"}}
    wish = FeaturesConfig.parse({"crosses": [["item.colour", "user.city"]], "fields": fields})
    encoder = FeatureEncoder.fit(made.table(asked), made.settled(wish))
    torch.manual_seed(0)
    kind = ranker_class(ranker)
    judge: Ranker = kind(kind.Config.parse({"dim": 4, "hidden": [16], "init": 0.5}), RowSchema(encoder.schema, ("chosen",)))
    return Stages(sources, made, Predictor(judge, encoder), NOW - DAY)


@cache
def shop(names: tuple[str, ...] = ("item_knn", "popularity"), ranker: str = "dcnv2") -> Recommender:
    """A recommender of these stages."""
    made = stages(names, ranker)
    return Recommender.of(made.sources[0].model, data(), stages=made)


def _solved(name: str, dataset: Dataset) -> Model:
    kind = model_class(name)
    model = fit.build(name, kind.Config.parse({}), dataset.schema)
    assert isinstance(model, Solvable)
    model.solve(dataset.interactions)
    return model.eval()
