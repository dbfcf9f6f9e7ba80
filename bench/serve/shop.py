"""The two-stage recommender of the bar, over the items of the world: a sasrec and popularity name some 500 candidates, a dcnv2 ranks them.

Nothing is trained, since speed does not depend on what was learned: weights are drawn, columns are learned from rows of random requests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.serve import world as worlds
from bench.serve.world import World

DEPTH, HISTORY = 290, 50
"""Candidates of each source; some are named by both."""
PROFILES = 20_000
"""Users of whom properties are known, put into the store where they are missing."""
CITIES = 40
_ROWS = 40


def artifact(made: World) -> Path:
    """The artifact's folder, made where it is not there."""
    import torch

    from tastemaker.data.features.config import FeaturesConfig
    from tastemaker.data.features.encoder import FeatureEncoder
    from tastemaker.data.features.moments import Moments, MomentsConfig
    from tastemaker.data.features.popularity import Snapshot
    from tastemaker.data.interactions import Histories
    from tastemaker.data.schema import FeatureSchema, RowSchema
    from tastemaker.data.vocabulary import FIRST, Vocabulary
    from tastemaker.models.popularity import Popularity
    from tastemaker.rankers.dcnv2 import DCNv2
    from tastemaker.recommend import artifact as artifacts
    from tastemaker.recommend.predictor import Predictor
    from tastemaker.recommend.recommender import Recommender
    from tastemaker.recommend.scoring import Scoring
    from tastemaker.recommend.sources import Source
    from tastemaker.recommend.stages import Stages

    target = made.folder / "two-stage"
    if (target / "manifest.json").exists():
        return target
    torch.manual_seed(0)
    draw = np.random.default_rng(5)
    first = artifacts.load(made.artifact)
    items, users = first.items, Vocabulary(["nobody"])
    sizes = FeatureSchema(users.size, items.size)
    popular = Popularity(Popularity.Config.parse({}), sizes)
    popular.load_state_dict(
        {name: torch.from_numpy(first.events.astype(np.float32)).to(held.dtype) for name, held in popular.state_dict().items()}
    )
    config = MomentsConfig.parse({"history": HISTORY})
    counts = {
        hours: first.events * share for hours, share in zip(config.popularity, (1 / 2160, 1 / 90, 7 / 90, 1), strict=True)
    }
    names = ("sasrec", "popularity")
    catalogue = worlds.catalogue(made.items).drop_columns(["item_id", "title"])
    told = profiles(_ROWS).drop_columns(["user_id"])
    moments = Moments(config, items, catalogue, users, told.slice(0, 1), Snapshot(counts), names)
    sources = tuple(Source(name, Scoring(model), DEPTH) for name, model in zip(names, (first.model, popular), strict=True))
    blank = Stages(sources, moments, None, worlds._DAY)
    lengths = draw.integers(1, HISTORY, _ROWS)
    done = draw.integers(FIRST, items.size, lengths.sum()).astype(np.int32)
    times = np.sort(draw.integers(1, 80 * worlds._DAY, lengths.sum()))
    histories = Histories(done, times, np.ones(len(done), np.float32), np.concatenate([[0], np.cumsum(lengths)]))
    nobody, at = np.ones(_ROWS, np.int32), np.full(_ROWS, 90 * worlds._DAY)
    asked = blank.asked(nobody, histories, at, blank.pool(nobody, histories))
    asked = replace(asked, profiles=told.rename_columns(["user.city", "user.age"]))
    # every item has a vector, whether one of these requests met it or not
    rows = pa.concat_tables([moments.table(asked), pa.table({"item": items.ids})], promote_options="default")
    encoder = FeatureEncoder.fit(rows, moments.settled(FeaturesConfig.parse({})))
    ranker = DCNv2(DCNv2.Config.parse({"init": 0.1}), RowSchema(encoder.schema, ("chosen",)))
    stages = Stages(sources, moments, Predictor(ranker, encoder), 90 * worlds._DAY)
    empty = Histories.of([np.zeros(0, np.int32)] * users.size)
    artifacts.save(
        Recommender(first.model, users, items, empty, events=first.events, catalogue=catalogue, stages=stages), target
    )
    return target


def profiles(count: int) -> pa.Table:
    """Users with a city and an age: user_id, city, age."""
    draw = np.random.default_rng(4)
    columns = {
        "user_id": [worlds.user(place) for place in range(count)],
        "city": [f"city {place}" for place in draw.integers(0, CITIES, count)],
        "age": draw.integers(16, 90, count).astype(np.float64),
    }
    return pa.table(columns)


def put_profiles(made: World) -> None:
    """Puts the users' properties into the world's store, once."""
    from tastemaker.store.bulk import load_users
    from tastemaker.store.sql import SqlStore

    with SqlStore(f"sqlite:///{made.store}") as opened:
        if not opened.profiles([worlds.user(0)])[0]:
            load_users(opened, profiles(min(PROFILES, made.users)))


def candidates(made: World, requests: int = 50) -> float:
    """How many a request has in the mean."""
    from tastemaker.data.interactions import Histories
    from tastemaker.recommend import artifact as artifacts

    stages = artifacts.load(artifact(made)).stages
    assert stages is not None
    draw = np.random.default_rng(6)
    done = Histories.of([draw.integers(2, made.items, 20).tolist() for _ in range(requests)])
    return len(stages.pool(np.ones(requests, np.int32), done, exclude=done)) / requests
