"""The gate's questions: what users of the store did last, in the words of each model that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking
from tastemaker.evaluate.report import Report
from tastemaker.experiment.fit import build
from tastemaker.models.base import Solvable
from tastemaker.recommend.candidates import Scorer, device_of, rank, scorer
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import Store, meant

K = 10
"""Length of the lists that are judged."""
_HISTORY = 1000
"""Newest events of a user that are read."""


@dataclass(frozen=True)
class Learned:
    """How a candidate was trained, as far as the gate must know."""

    split: str = "leave_last"
    """`[split] kind`"""
    sequence: int = 0
    """of the newest event in its training data"""
    cut: int | None = None
    """µs: first moment it did not learn from (by_time)"""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Learned:
        """As a version's facts have it; the defaults where they say nothing."""
        said = facts.get("learned")
        return cls(**said) if isinstance(said, dict) else cls()


@dataclass(frozen=True, eq=False)
class Fresh:
    """Who is asked, with what history, and what is right; in codes of one vocabulary of text ids that covers all models."""

    items: Vocabulary
    user_ids: list[str]
    histories: Histories
    truth: Histories
    known: Interactions
    """the window without the withheld events: what popularity and neighbours are counted in"""

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def of(
        cls, store: Store, candidate: Recommender, current: Recommender | None, learned: Learned, settings: GateSettings
    ) -> Fresh:
        rng = np.random.default_rng(settings.seed)
        batches = [meant(batch) for batch in store.scan_events(after=max(0, store.last_sequence() - settings.window))]
        users = _column(batches, "user_id").dictionary_encode()
        item_ids = _column(batches, "item_id")
        sequence, moment = (_column(batches, name, pa.int64()).to_numpy() for name in ("sequence", "time"))
        names = [_texts(one.items.ids) for one in (candidate, current) if one is not None]
        items = Vocabulary(pa.concat_arrays([*names, item_ids]).unique())

        order = np.lexsort((sequence, moment, users.indices.to_numpy()))
        owner = users.indices.to_numpy()[order]
        newest = order[np.append(owner[1:] != owner[:-1], True)] if len(order) else order
        if learned.split == "by_time" and learned.cut is not None:
            newest = newest[(moment[newest] >= learned.cut) | (sequence[newest] > learned.sequence)]
        elif learned.split not in ("leave_last", "by_time"):
            newest = newest[sequence[newest] > learned.sequence]
        if len(newest) > settings.max_users:
            newest = np.sort(rng.choice(newest, settings.max_users, replace=False))
        asked = users.take(pa.array(newest)).to_pylist()
        rows = store.histories(asked, _HISTORY) if asked else []
        # one with nothing before the newest event has no history; one who met the item before is not recommended it again
        kept = [
            place
            for place, row in enumerate(rows)
            if len(row) > 1 and row[-1].item_id not in {event.item_id for event in row[:-1]}
        ]
        done = [event for place in kept for event in rows[place]]
        whole = Histories(
            items.encode([event.item_id for event in done]),
            np.array([event.time for event in done], np.int64),
            np.array([event.value for event in done], np.float32),
            np.concatenate([[0], np.cumsum([len(rows[place]) for place in kept])]).astype(np.int64),
        )
        left = order[~np.isin(order, newest[kept])]
        known = Interactions(
            user=(users.indices.to_numpy()[left] + FIRST).astype(np.int32),
            item=items.encode(item_ids)[left],
            time=moment[left],
            value=np.ones(len(left), np.float32),
            kind=np.zeros(len(left), np.int8),
            side=np.full(len(left), -1, np.int8),
        )
        before = whole.slices(whole.offsets[:-1], whole.offsets[1:] - 1)
        return cls(items, [asked[place] for place in kept], before, whole.last(1), known)

    def known_share(self, recommender: Recommender) -> float:
        """Share of the window's events whose items a recommender knows."""
        held = np.zeros(self.items.size, bool)
        held[self._ours(recommender)[FIRST:]] = True
        return float(held[self.known.item].mean()) if len(self.known) else 1.0

    def asked_of(self, recommender: Recommender, *, rows: np.ndarray) -> tuple[np.ndarray, Histories]:
        """User codes and histories of some rows in the words of a recommender."""
        mine = np.full(self.items.size, UNKNOWN, np.int32)
        ours = self._ours(recommender)
        mine[ours[FIRST:]] = np.arange(FIRST, len(ours), dtype=np.int32)
        part = self.histories.take(rows)
        users = recommender.users.encode([self.user_ids[row] for row in rows])
        return users, Histories(mine[part.items], part.times, part.values, part.offsets)

    def lists(self, recommender: Recommender, scores: Scorer) -> np.ndarray:
        """The lists of a recommender in common codes."""
        users, histories = self.asked_of(recommender, rows=np.arange(len(self)))
        return self._ours(recommender)[answered(recommender, scores, users, histories, self.truth.times)]

    def counted(self, name: str, settings: dict[str, Any]) -> np.ndarray:
        """The lists of a model counted in the window."""
        schema = FeatureSchema(int(self.known.user.max(initial=0)) + 1, self.items.size)
        model = build(name, model_class(name).Config.parse(settings), schema)
        assert isinstance(model, Solvable)
        model.solve(self.known)
        users = np.full(len(self), UNKNOWN)
        return rank(scorer(model), users, self.histories, K, num_items=self.items.size, exclude=self.histories).codes

    def report(self, lists: np.ndarray, settings: GateSettings) -> Report:
        """How good lists are."""
        config = EvaluateConfig(
            metrics=("ndcg", "hit_rate"),
            ks=(K,),
            bootstrap=settings.bootstrap,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        return evaluate_ranking(
            lists, self.truth, np.bincount(self.known.item, minlength=self.items.size), self.histories.lengths, config
        )

    def _ours(self, recommender: Recommender) -> np.ndarray:
        """The common code of each item code of a recommender; PAD stays PAD."""
        codes = self.items.encode(_texts(recommender.items.ids))
        return np.concatenate([np.arange(FIRST, dtype=np.int32), codes])


def answered(
    recommender: Recommender, scores: Scorer, users: np.ndarray, histories: Histories, at: np.ndarray | None = None
) -> np.ndarray:
    """The lists that a recommender makes for users at their moments, known items left out: int32 (users, K)."""
    if recommender.stages is not None:
        return recommender.stages.lists(users, histories, K, at=at, exclude=histories).codes
    device, num_items = device_of(recommender.model), recommender.items.size
    return rank(scores, users, histories, K, num_items=num_items, exclude=histories, device=device).codes


def _column(batches: list[pa.RecordBatch], name: str, kind: pa.DataType | None = None) -> pa.Array:
    kind = kind or pa.large_string()
    return pa.concat_arrays([pa.array([], kind), *(batch.column(name).cast(kind) for batch in batches)])


def _texts(ids: pa.Array) -> pa.Array:
    """Ids of the store are text: a vocabulary of integers matches by their digits."""
    return ids.cast(pa.large_string())
