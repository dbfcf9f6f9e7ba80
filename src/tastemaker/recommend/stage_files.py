"""What an artifact holds of a two-stage recommender besides its first source, which is the artifact's model.

```
source-N.safetensors  weights of source N, from 1
ranker.safetensors    weights of the ranker and its calibration
features.arrow        what each column of its rows means
profiles.arrow        columns of users, a row per user place
popularity.arrow      events of each item in each window before the end of the data, a row per item place
```
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import save_file

from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Moments, MomentsConfig
from tastemaker.data.features.popularity import Snapshot
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.models.base import Model
from tastemaker.recommend.predictor import Predictor, PredictorFacts
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sealed import ModelFacts, built, damaged, model_name, read_arrow, tensors_of, write_arrow
from tastemaker.recommend.sources import Source
from tastemaker.recommend.stages import Stages
from tastemaker.settings import Settings

_RANKER, _FEATURES, _PROFILES, _POPULARITY = "ranker.safetensors", "features.arrow", "profiles.arrow", "popularity.arrow"


class SourceFacts(Settings):
    """A source; the first one's model is the artifact's."""

    name: str
    depth: int
    model: ModelFacts | None = None


class StageFacts(Settings):
    """What an artifact says of its stages."""

    sources: tuple[SourceFacts, ...]
    moments: MomentsConfig
    kinds: dict[str, str]
    """of the catalogue's columns that items are compared by"""
    predictor: PredictorFacts
    as_of: int


def facts(stages: Stages) -> dict[str, Any]:
    """For the manifest."""
    assert stages.predictor is not None
    sources: list[dict[str, Any]] = []
    for place, source in enumerate(stages.sources):
        told: dict[str, Any] = {"name": source.name, "depth": source.depth}
        if place:
            config = source.model.config.model_dump(mode="json")
            told["model"] = {"name": model_name(source.model), "config": config}
        sources.append(told)
    return {
        "sources": sources,
        "moments": stages.moments.config.model_dump(mode="json"),
        "kinds": stages.moments.kinds,
        "predictor": stages.predictor.facts(),
        "as_of": stages.as_of,
    }


def names(facts: StageFacts) -> tuple[str, ...]:
    """The files that belong to it."""
    return (*(_weights(place) for place in range(1, len(facts.sources))), _RANKER, _FEATURES, _PROFILES, _POPULARITY)


def writers(stages: Stages) -> dict[str, Callable[[Path], None]]:
    """What writes each file."""
    assert stages.predictor is not None
    moments = stages.moments
    return {
        **{
            _weights(place): partial(save_file, tensors_of(source.model))
            for place, source in enumerate(stages.sources)
            if place
        },
        _RANKER: stages.predictor.save_weights,
        _FEATURES: stages.predictor.encoder.save,
        _PROFILES: lambda path: write_arrow(path, _profiles(moments)),
        _POPULARITY: lambda path: write_arrow(path, _counts(moments, stages.as_of)),
    }


def read(folder: Path, facts: StageFacts, model: Model, users: Vocabulary, items: Vocabulary, catalogue: pa.Table) -> Stages:
    """The stages of an artifact whose model is the first source."""
    sizes = FeatureSchema(users.size, items.size, model.schema.content)
    models = [model]
    for place, told in enumerate(facts.sources[1:], start=1):
        if told.model is None:
            raise damaged("manifest.json", f"no model of source {told.name!r}")
        models.append(built(told.model, sizes, folder / _weights(place)))
    table = read_arrow(folder / _POPULARITY)
    if table.num_rows != len(items):
        raise damaged(_POPULARITY, f"{table.num_rows} rows")
    counts = {hours: np.concatenate([np.zeros(FIRST), table[str(hours)].to_numpy()]) for hours in facts.moments.popularity}
    moments = Moments(
        facts.moments,
        items,
        catalogue,
        users,
        read_arrow(folder / _PROFILES),
        Snapshot(counts),
        tuple(source.name for source in facts.sources),
        facts.kinds,
    )
    sources = tuple(Source(told.name, Scoring(one), told.depth) for told, one in zip(facts.sources, models, strict=True))
    predictor = Predictor.of(facts.predictor, FeatureEncoder.load(folder / _FEATURES), folder / _RANKER)
    return Stages(sources, moments, predictor, facts.as_of)


def _weights(place: int) -> str:
    return f"source-{place}.safetensors"


def _profiles(moments: Moments) -> pa.Table:
    table = moments.profiles
    return table.rename_columns([name.removeprefix("user.") for name in table.column_names])


def _counts(moments: Moments, as_of: int) -> pa.Table:
    codes = np.arange(FIRST, moments.items.size, dtype=np.int32)
    at = np.full(len(codes), as_of, np.int64)
    return pa.table({str(hours): moments.popularity.counts(codes, at, hours) for hours in moments.config.popularity})
