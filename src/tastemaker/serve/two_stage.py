"""Two stages for a batch of requests: candidates of every source, made into rows at the moment of the request, ranked.

```
sources ─▶ best of each under gate, bans and boosts ─▶ Pool ─▶ rows ─▶ ranker ─▶ log odds, boosts ─▶ list
   │ fails, or no time left: left out                            │ fails, or no time left: the order in which sources name them
   └───────────────────────────────────── "degraded", with a reason ─────────────────────────────────────┘
```
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import torch

from tastemaker.data.features.encoded import Features
from tastemaker.data.features.moments import Asked
from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import DataError
from tastemaker.log import logger
from tastemaker.recommend import policy
from tastemaker.recommend.sources import Opinion, Pool, Source
from tastemaker.recommend.stages import Stages
from tastemaker.serve.asks import Row, Staged
from tastemaker.serve.retrieve import Retriever
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.staging import profiles, reads_users
from tastemaker.serve.view import View

_CELLS = 1 << 24
"""Scores of a source held at a time: 64 MB."""
_ROWS = 8192
"""Rows ranked at a time; between such parts it is seen whether there is time for more."""

_NONE = pa.table({})


class Pace:
    """What a stage takes for one request, as far as it was seen."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def expected(self, stage: str, requests: int) -> float:
        """Seconds."""
        return self._seconds.get(stage, 0.0) * requests

    def took(self, stage: str, seconds: float, requests: int) -> None:
        """Takes note, in small steps: one stall, or a first call that finds nothing prepared, is to turn nobody away."""
        each = seconds / max(1, requests)
        before = self._seconds.get(stage, each / 10)
        self._seconds[stage] = min(each, before * 1.25) if each > before else max(each, before * 0.9)

    def skipped(self, stage: str) -> None:
        """What was left out for want of time seems a little shorter each time, so that it is tried again."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) * 0.9


class TwoStage:
    """Lists in two stages; safe to use from several threads."""

    def __init__(self, retriever: Retriever, settings: ServeSettings) -> None:
        self._retriever, self._pace = retriever, Pace()
        self._retrieval, self._ranking = settings.retrieval_budget_ms / 1000, settings.ranking_budget_ms / 1000
        self.watch: Callable[[str, float], object] = lambda stage, seconds: None
        """told what each stage took: retrieve, features, rank"""
        self.skipped: Callable[[str, str, int], object] = lambda stage, reason, requests: None
        """told which stage was left out, why (failed, late), and for how many requests"""
        self.keeps_rows = False
        """whether rows keep the features that the ranker read"""

    def best(self, rows: Sequence[Row], view: View, depth: int, now: int) -> tuple[np.ndarray, np.ndarray]:
        """The best candidates of each row: codes int32 and scores float32 (rows, depth), codes 0 beyond the last.

        Raises:
            Exception: whatever a model raised, where every source failed.
        """
        codes = np.zeros((len(rows), depth), np.int32)
        scores = np.full((len(rows), depth), -np.inf, np.float32)
        most = max(1, _CELLS // view.size)
        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            self._candidates(part, view)
            self._scored(part, view, now)
            for place, row in enumerate(part, start):
                assert row.staged is not None
                found = row.staged
                order = np.lexsort((found.codes, -found.scores))[:depth]
                codes[place, : len(order)], scores[place, : len(order)] = found.codes[order], found.scores[order]
        return codes, scores

    # the first stage
    def _candidates(self, rows: Sequence[Row], view: View) -> None:
        """Fills `row.staged` with what the sources name, and how it stands with each."""
        assert view.stages is not None
        started = time.perf_counter()
        until = min(started + self._retrieval, max(row.deadline for row in rows))
        opinions: list[Opinion | None] = []
        lists: list[np.ndarray] = []
        error: Exception | None = None
        for source in view.stages.sources:
            began = time.perf_counter()
            some = any(one is not None for one in opinions)
            if some and began + self._pace.expected(source.name, len(rows)) > until:
                self._pace.skipped(source.name)
                self._left_out(rows, source.name, "source", "late")
                opinions.append(None)
                continue
            opinion, found, failure = self._named(source, rows, view)
            error = failure or error
            opinions.append(opinion)
            if opinion is not None:
                lists.append(found)
                self._pace.took(source.name, time.perf_counter() - began, len(rows))
        if not lists:
            assert error is not None
            raise error
        bits = [place for place, one in enumerate(opinions) if one is not None]
        pool = Pool.merged(lists)
        standings = {
            source.name: np.zeros(len(pool), np.float32) if one is None else one.standing(pool.items, pool.owner)
            for source, one in zip(view.stages.sources, opinions, strict=True)
        }
        named = sum(((pool.found >> place & 1) << bit for place, bit in enumerate(bits)), np.zeros(len(pool), np.int64))
        bounds = np.searchsorted(pool.owner, np.arange(len(rows) + 1))
        for row, first, behind in zip(rows, bounds, bounds[1:], strict=False):
            part = slice(int(first), int(behind))
            own = {name: values[part] for name, values in standings.items()}
            # until something ranks them: an item that is named at place r has odds of 1 : r
            order = -np.log1p(np.arange(behind - first, dtype=np.float32))
            row.staged = Staged(pool.items[part], named[part], own, order, ranked=False)
        self.watch("retrieve", time.perf_counter() - started)

    def _named(self, source: Source, rows: Sequence[Row], view: View) -> tuple[Opinion | None, np.ndarray, Exception | None]:
        """What a source thinks of the rows, and its best items of each, int32 (rows, depth); None where it failed for all of them."""
        depths = np.array([min(max(source.depth, row.depth), view.size) for row in rows])
        nothing = np.zeros((len(rows), int(depths.max())), np.int32)
        try:
            opinion = self._retriever.ask(source, rows, view)
            codes, _ = self._retriever.best(rows, view, None, nothing.shape[1], opinion)
            codes[np.arange(codes.shape[1]) >= depths[:, None]] = 0  # what others look at must change nothing
            return opinion, codes, None
        except Exception as error:  # whatever a model may raise: other sources are there
            if len(rows) == 1:
                logger.error("source %s failed: %s", source.name, type(error).__name__, exc_info=error)
                self._left_out(rows, source.name, "source", "failed")
                return None, nothing, error
        opinions: list[Opinion | None] = []
        failure: Exception | None = None
        for place, row in enumerate(rows):  # only whoever cannot be answered is to suffer
            one, found, error_of_row = self._named(source, [row], view)
            failure = failure or error_of_row
            opinions.append(None if one is None else one.kept())
            nothing[place, : found.shape[1]] = found[0]
        if all(one is None for one in opinions):
            return None, nothing, failure
        return Opinion.joined(opinions), nothing, failure

    # the second stage
    def _scored(self, rows: Sequence[Row], view: View, now: int) -> None:
        """Puts the ranker's scores, and boosts, into the rows."""
        stages, started = view.stages, time.perf_counter()
        assert stages is not None
        place = 0
        while place < len(rows):
            part = list(rows[place : place + 1])
            while place + len(part) < len(rows) and sum(len(row.staged.codes) for row in part if row.staged) < _ROWS:
                part.append(rows[place + len(part)])
            place += len(part)
            until = min(started + self._ranking, max(row.deadline for row in part))
            began = time.perf_counter()
            if began + self._pace.expected("rank", len(part)) > until:
                self._pace.skipped("rank")
                self._left_out(part, "ranker", "ranker", "late")
                continue
            if self._rank(part, stages, now):
                self._pace.took("rank", time.perf_counter() - began, len(part))
        for row in rows:
            if row.boosts and row.staged is not None:
                masks = [mask[row.staged.codes] for mask, _ in row.boosts]
                row.staged.scores = policy.boosted(row.staged.scores, masks, [weight for _, weight in row.boosts])

    def _rank(self, rows: Sequence[Row], stages: Stages, now: int) -> bool:
        """Asks the ranker; whether it answered for all."""
        try:
            began = time.perf_counter()
            features = self.features(rows, stages, now)
            made = time.perf_counter()
            with torch.inference_mode():
                said = stages.said(features)
            bounds = np.cumsum([0, *(len(row.staged.codes) for row in rows if row.staged is not None)])
            parts = zip(rows, bounds, bounds[1:], strict=False)
            scores = [stages.worth(said[first:behind], row.request.scenario) for row, first, behind in parts]
            if not all(np.isfinite(one).all() for one in scores):
                raise ArithmeticError("scores that are not finite")
        except Exception as error:  # whatever a ranker may raise: the candidates are there
            if len(rows) > 1:
                done = [self._rank([row], stages, now) for row in rows]
                return all(done)
            if isinstance(error, DataError) and rows[0].past.profile:  # what was put of the user cannot be read
                rows[0].past.profile, rows[0].past.known_as = {}, UNKNOWN
                return self._rank(rows, stages, now)
            logger.error("the ranker failed: %s", type(error).__name__, exc_info=error)
            self._left_out(rows, "ranker", "ranker", "failed")
            return False
        for row, own, first, behind in zip(rows, scores, bounds, bounds[1:], strict=False):
            assert row.staged is not None
            row.staged.scores, row.staged.ranked = own, True
            if self.keeps_rows:
                row.staged.features = features.take(np.arange(first, behind))
        self.watch("features", made - began)
        self.watch("rank", time.perf_counter() - made)
        return True

    def features(self, rows: Sequence[Row], stages: Stages, now: int) -> Features:
        """The candidates of rows as the ranker reads them."""
        assert stages.predictor is not None
        return stages.moments.features(asked(rows, stages, now), stages.predictor.encoder, share=True)

    def _left_out(self, rows: Sequence[Row], name: str, stage: str, reason: str) -> None:
        self.skipped(name, reason, len(rows))
        for row in rows:
            row.degrade(f"{stage}_{reason}")


def asked(rows: Sequence[Row], stages: Stages, now: int) -> Asked:
    """The candidates of rows, and what is known of who asks."""
    pasts = [row.past for row in rows]
    lengths = [len(past.codes) for past in pasts]
    histories = Histories(
        np.array([code for past in pasts for code in past.codes], np.int32),
        np.array([moment for past in pasts for moment in past.times], np.int64),
        np.array([value for past in pasts for value in past.values], np.float32),
        np.cumsum([0, *lengths], dtype=np.int64),
    )
    staged = [row.staged for row in rows if row.staged is not None]
    counts = [len(one.codes) for one in staged]
    told = None
    if stages.moments.profiles.num_columns:
        told = (
            profiles(stages, [past.profile for past in pasts], [past.known_as for past in pasts])
            if reads_users(stages)
            else _NONE
        )
    return Asked(
        np.array([past.user_code for past in pasts], np.int32),
        np.full(len(rows), now, np.int64),
        histories,
        np.concatenate([one.codes for one in staged]),
        np.repeat(np.arange(len(rows)), counts),
        {source.name: np.concatenate([one.standings[source.name] for one in staged]) for source in stages.sources},
        told,
    )
