"""Staging: the stages of a two-stage recommender over the catalogue as it is now.

Items are encoded once, and again when they change; newcomers are candidates of every source by their likeness to known items, and have what
is known of them in their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from tastemaker.data.features.item_side import ItemSide
from tastemaker.data.features.told import item_table, readable, user_table
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import DataError
from tastemaker.log import logger
from tastemaker.models.base import Model
from tastemaker.nn.packed import Precision
from tastemaker.recommend.predictor import Predictor
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Encoded, Scoring
from tastemaker.recommend.stages import Stages
from tastemaker.serve.crowd import Crowd, Laid
from tastemaker.serve.view import View
from tastemaker.store.base import Item


class Staging:
    """Keeps the stages of the recommender in use true to the catalogue; not for use by several threads at once."""

    def __init__(self, crowd: Crowd, lent: Callable[[Item], bool], precision: Precision) -> None:
        """`lent` tells whether what is known of an item comes from the artifact's catalogue alone; `precision` is of the ranker's products."""
        self._crowd, self._lent, self._precision = crowd, lent, precision
        self._base = -1
        self._side: ItemSide | None = None
        self._changed = np.zeros(0, np.int64)
        self._laid: Laid | None = None
        self._packed: tuple[Predictor, Predictor] | None = None

    def of(
        self, view: View, weights: sp.csr_matrix | None, encoded: Mapping[Model, Encoded] = MappingProxyType({})
    ) -> Stages | None:
        """The stages for a view; None where its recommender has none. `encoded` are what models say of items told of since."""
        recommender = view.recommender
        if recommender is None or recommender.stages is None or recommender.stages.predictor is None:
            return None
        before = view.stages or recommender.stages
        sources = before.sources
        told = any(one.scoring.newcomers is not None or one.scoring.encoded is not None for one in sources)
        if (weights is not None and weights.shape[0]) or encoded or told:
            scorings = (Scoring(one.model, weights, like=one.scoring, encoded=encoded.get(one.model)) for one in sources)
            sources = tuple(one.over(scoring) for one, scoring in zip(sources, scorings, strict=True))
        for source in sources:
            try:
                source.prepare()
            except Exception as error:  # whatever a model may raise: requests do without it
                logger.error("source %s failed: %s", source.name, type(error).__name__, exc_info=error)
        side = self._current(view, recommender.stages)
        self._laid = self._crowd.laid(view, self._laid)
        encoder = recommender.stages.predictor.encoder
        if self._packed is None or self._packed[0] is not recommender.stages.predictor:
            self._packed = recommender.stages.predictor, recommender.stages.predictor.packed(self._precision)
        return replace(
            recommender.stages,
            sources=sources,
            predictor=self._packed[1],
            moments=recommender.stages.moments.with_items(encoder, side).with_popularity(self._laid),
        )

    def _current(self, view: View, stages: Stages) -> ItemSide:
        """The items of the view, encoded."""
        assert stages.predictor is not None
        encoder, stock = stages.predictor.encoder, view.stock
        changed = stock.changed[view.rows]
        if self._base != view.base or self._side is None:
            self._side = stages.moments.item_side(encoder)
            items = [stock.items[row] for row in view.rows[FIRST : view.known].tolist()]
            places = np.array([place for place, item in enumerate(items) if not self._lent(item)], np.int64)
            places = np.concatenate([places, np.arange(view.known, view.size) - FIRST])
        else:
            there = len(self._changed)
            moved = np.flatnonzero(changed[:there] != self._changed)
            places = np.concatenate([moved, np.arange(there, view.size)]) - FIRST
            places = places[places >= 0]
        if len(places):
            items = [stock.items[row] for row in view.rows[places + FIRST].tolist()]
            rows = [
                place if self._lent(item) and place < view.known - FIRST else -1
                for place, item in zip(places.tolist(), items, strict=True)
            ]
            self._side = _put(self._side, stages, places, items, rows)
        self._base, self._changed = view.base, changed
        return self._side


def _put(side: ItemSide, stages: Stages, places: np.ndarray, items: list[Item], rows: list[int]) -> ItemSide:
    """The side with items replaced or appended; of one that cannot be read at all nothing is known but its id."""
    assert stages.predictor is not None
    encoder, moments = stages.predictor.encoder, stages.moments
    separators = moments.separators(encoder)
    try:
        return side.put(encoder, places, item_table(moments.catalogue, separators, items, rows))
    except DataError as error:
        logger.warning("properties of some items are not read: %s", type(error).__name__)
        items = readable(items, lambda some: moments.readable(encoder, item_table(moments.catalogue, separators, some)))
        return side.put(encoder, places, item_table(moments.catalogue, separators, items, rows))


def profiles(stages: Stages, told: Sequence[Mapping[str, Any]], users: Sequence[int]) -> pa.Table:
    """The columns of users that a ranker reads: what was put, else what the artifact knows.

    Args:
        stages: whose ranker asks.
        told: properties of each user, empty where nobody put any.
        users: codes in the artifact's vocabulary.
    """
    moments = stages.moments
    places = [code - FIRST if FIRST <= code < moments.users.size else -1 for code in users]
    return user_table(moments.profiles, told, places)


def reads_users(stages: Stages) -> bool:
    """Whether the ranker reads anything of a user that is neither what they did nor when."""
    assert stages.predictor is not None
    return any(name.startswith("user.") for name in stages.predictor.encoder.columns)


def reads_codes(recommender: Recommender) -> bool:
    """Whether anything in a recommender knows users by their ids."""
    stages = recommender.stages
    if stages is None:
        return recommender.model.learns_from != "sequences"
    if stages.moments.config.user_id or (stages.predictor is not None and reads_users(stages)):
        return True
    return any(source.model.learns_from != "sequences" for source in stages.sources)
