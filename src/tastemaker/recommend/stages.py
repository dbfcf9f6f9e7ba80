"""Stages: candidates from several sources, made into rows, ranked by everything that is known of them.

```
sources ─▶ lists of each ─▶ Pool, merged without repeats ─▶ rows at a moment ─▶ ranker ─▶ probabilities ─▶ one score ─▶ list
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tastemaker.data.features.encoded import Features
from tastemaker.data.features.moments import Asked, Moments
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.recommend.candidates import Candidates
from tastemaker.recommend.predictor import Predictor
from tastemaker.recommend.sources import Pool, Source, batches, query_of

_LEAST = 1e-7
"""Probabilities are held this far from 0 and 1 before they become log odds."""


@dataclass(frozen=True, eq=False)
class Stages:
    """A two-stage recommender: immutable, safe to use from several threads."""

    sources: tuple[Source, ...]
    moments: Moments
    predictor: Predictor | None
    """the ranker; None: candidates keep the order of what their sources think of them, added up"""
    as_of: int
    """µs since 1970 UTC: the moment at which requests are made that name none, the end of the data"""

    @property
    def schema(self) -> FeatureSchema:
        """Of the first source, which is what else is asked where one model is needed."""
        return self.sources[0].model.schema

    @property
    def personal(self) -> bool:
        """Whether no source has anything to say to somebody of whom nothing is known."""
        return all(source.model.personal for source in self.sources)

    def lists(
        self,
        users: np.ndarray,
        histories: Histories,
        k: int,
        *,
        at: np.ndarray | int | None = None,
        exclude: Histories | None = None,
        allowed: np.ndarray | None = None,
        scenario: str | None = None,
    ) -> Candidates:
        """The `k` best candidates of each user: what the ranker says of what the sources find.

        Args:
            users: int (n,): user codes.
            histories: what each had done, n rows.
            k: length of the lists.
            at: µs since 1970 UTC, the moment of each request or of all; None: the end of the data.
            exclude: item codes that may not be returned, a row per user.
            allowed: the only item codes that may be returned; None allows all.
            scenario: whose objective orders the lists; None: the first one's.
        """
        at = np.broadcast_to(np.asarray(self.as_of if at is None else at, np.int64), len(users))
        codes = np.zeros((len(users), k), np.int32)
        scores = np.full((len(users), k), -np.inf, np.float32)
        for rows in batches(histories.lengths, self.sources[0].scoring.size):
            past, banned = histories.take(rows), None if exclude is None else exclude.take(rows)
            pool = self.pool(users[rows], past, exclude=banned, allowed=allowed)
            said = self.ranked(self.asked(users[rows], past, at[rows], pool), scenario)
            codes[rows], scores[rows] = best_of(pool, said, len(rows), k)
        return Candidates(codes, scores)

    def pool(
        self, users: np.ndarray, histories: Histories, *, exclude: Histories | None = None, allowed: np.ndarray | None = None
    ) -> Pool:
        """What the sources find together."""
        found = []
        for source in self.sources:
            sizes = source.model.schema
            known = replace(histories, items=np.where(histories.items < sizes.num_items, histories.items, np.int32(1)))
            known_users = np.where(users < sizes.num_users, users, 1)
            found.append(source.retrieve(known_users, known, exclude=exclude, allowed=allowed))
        return Pool.merged(found)

    def asked(self, users: np.ndarray, histories: Histories, at: np.ndarray, pool: Pool) -> Asked:
        """The pool with each source's opinion of each candidate."""
        scores = {
            source.name: source.standardised(query_of(source.model, users, histories), pool.items, pool.owner)
            for source in self.sources
        }
        return Asked(users, at, histories, pool.items, pool.owner, scores)

    def ranked(self, asked: Asked, scenario: str | None = None) -> np.ndarray:
        """The score of each candidate, float32 (rows,): see `worth`; without a ranker the sum of the sources' opinions."""
        if self.predictor is None:
            return np.asarray(np.sum([asked.scores[source.name] for source in self.sources], axis=0, dtype=np.float32))
        return self.worth(self.said(self.moments.features(asked, self.predictor.encoder, share=True)), scenario)

    def said(self, features: Features) -> np.ndarray:
        """What the ranker says of encoded rows, float64 (rows, labels): calibrated probabilities."""
        assert self.predictor is not None
        return self.predictor.probabilities(self.predictor.logits(features))

    def worth(self, probabilities: np.ndarray, scenario: str | None = None) -> np.ndarray:
        """What lists are ordered by, float32 (rows,): the objective of a scenario on a logarithmic scale, or of a lone label its log odds.

        A scenario without an objective of its name has the first one.
        """
        assert self.predictor is not None
        objectives = self.predictor.objectives
        if not objectives and probabilities.shape[1] == 1:
            lone = probabilities[:, 0].clip(_LEAST, 1 - _LEAST)
            return np.log(lone / (1 - lone)).astype(np.float32)
        _, objective = self.predictor.objective(scenario if scenario in objectives else None)
        return objective.logarithmic(probabilities, self.predictor.outputs).astype(np.float32)


def best_of(pool: Pool, scores: np.ndarray, requests: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best of each request: int32 and float32 (requests, k), codes 0 beyond the last; ties go to the lower code."""
    codes, values = np.zeros((requests, k), np.int32), np.full((requests, k), -np.inf, np.float32)
    order = np.lexsort((pool.items, -scores, pool.owner))
    owner = pool.owner[order]
    place = np.arange(len(order)) - np.searchsorted(owner, owner)
    kept = place < k
    codes[owner[kept], place[kept]] = pool.items[order[kept]]
    values[owner[kept], place[kept]] = scores[order[kept]]
    return codes, values


def sources_of(found: int, sources: Sequence[Source]) -> str:
    """The names of the sources that named a candidate, joined by +."""
    return "+".join(source.name for place, source in enumerate(sources) if found >> place & 1)
