"""Desk: where a batch of requests becomes answers.

```
asks ─▶ rows (filters, pins, exclusions in codes) ─▶ histories ─▶ scores ─▶ masks, top-k ─▶ re-ranking ─▶ envelopes
                                                                 or both stages, see `two_stage`; an order of words, see `voice`
                                                        │ store slow or gone      │ model fails, or no time left
                                                        └──────▶ the last list of that user, then the popular list: "degraded"
```
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tastemaker.data.features.encoded import Features
from tastemaker.errors import RequestError, StoreError
from tastemaker.log import logger
from tastemaker.recommend.held import Held
from tastemaker.serve import histories
from tastemaker.serve.asks import Ask, Row, row_of
from tastemaker.serve.envelope import Envelopes
from tastemaker.serve.guard import Guard
from tastemaker.serve.live import Live
from tastemaker.serve.masks import Masks
from tastemaker.serve.rerank import chosen, first_depth, with_pins
from tastemaker.serve.retrieve import Retriever
from tastemaker.serve.rules import Clause, Settled, settled
from tastemaker.serve.scenarios import Scenarios
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.shelves import Shelves
from tastemaker.serve.two_stage import TwoStage
from tastemaker.serve.view import View
from tastemaker.serve.voice import Voice, dealt
from tastemaker.store.base import Store
from tastemaker.wire.bodies import Answer

_SHALLOW = 128
"""Depths up to this are answered together; deeper ones by powers of two."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """What a ranker read to answer one request."""

    recommendation_id: str
    item_ids: list[str]
    """all candidates"""
    features: Features
    """a row each"""


class Desk:
    """Answers requests for lists; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        live: Live,
        guard: Guard,
        masks: Masks,
        shelves: Shelves,
        envelopes: Envelopes,
        settings: ServeSettings,
        clock: Callable[[], int],
        voice: Voice,
        scenarios: Scenarios,
    ) -> None:
        self._scenarios = scenarios
        self._store, self._live, self._guard, self._masks = store, live, guard, masks
        self._shelves, self._envelopes, self._settings, self._clock = shelves, envelopes, settings, clock
        self.retriever = Retriever()
        self.two_stage = TwoStage(self.retriever, settings)
        self._voice = voice
        self._model_seconds = 0.0
        self.last: Held[tuple[str, ...]] = Held(settings.last_answers)
        """the last good list of each user, for when the model cannot answer"""
        self.watch: Callable[[str, float], object] = lambda stage, seconds: None
        """told what each stage of a batch took: filter, history, score, language, rerank, explain, record"""
        self.watch_rows: Callable[[Ranked], object] | None = None
        """told what a ranker read, for each answer"""

    def answer(self, asks: Sequence[Ask]) -> list[Answer | RequestError]:
        """An answer for each request, or why there is none."""
        started, now, view = time.perf_counter(), self._clock(), self._live.view
        rows: list[Row | RequestError] = []
        for ask in asks:
            try:
                rows.append(self._row(ask, self.settled(ask), view, now, started))
            except RequestError as error:
                rows.append(error)
        good = [row for row in rows if isinstance(row, Row)]
        self.watch("filter", time.perf_counter() - started)
        self.fill(good, view, now)
        if any(row.request.include for row in good):
            began = time.perf_counter()
            self._voice.explain(good, view)
            self.watch("explain", time.perf_counter() - began)
        filled = time.perf_counter()
        found = self._envelopes.of(good, view, now, started)
        answers = iter(found)
        self.watch("record", time.perf_counter() - filled)
        if self.watch_rows is not None:
            for row, answer in zip(good, found, strict=True):
                if row.staged is not None and row.staged.features is not None and answer.recommendation_id is not None:
                    ids = [view.ids[code] for code in row.staged.codes.tolist()]
                    self.watch_rows(Ranked(answer.recommendation_id, ids, row.staged.features))
        for row in good:
            if row.status == "ok" and row.user is not None and row.codes:
                self.last.put(row.user, tuple(view.ids[code] for code in row.codes), row.user)
        return [next(answers) if isinstance(row, Row) else row for row in rows]

    def settled(self, ask: Ask) -> Settled:
        """What was asked, with the rules of its scenario: those in force, or for a next page those that the first one had."""
        name = ask.request.scenario
        if name is None or ask.version == 0:
            return settled(ask.request)
        if ask.version is None:
            return settled(ask.request, self._scenarios.get(name))
        try:
            found = self._scenarios.version(name, ask.version)
        except StoreError:
            found = None
        return settled(ask.request, found or self._scenarios.get(name))

    def rows(self, asks: Sequence[Ask], view: View, now: int, requests: Sequence[Settled] | None = None) -> list[Row]:
        """The filled rows of some asks, for whoever wants to look into them; `requests` says what each is to be, None: as asked.

        Raises:
            RequestError: one of them cannot be answered as asked.
        """
        started = time.perf_counter()
        requests = [self.settled(ask) for ask in asks] if requests is None else requests
        rows = [self._row(ask, request, view, now, started) for ask, request in zip(asks, requests, strict=True)]
        self.fill(rows, view, now)
        return rows

    def _row(self, ask: Ask, request: Settled, view: View, now: int, started: float) -> Row:
        row = row_of(ask, request, view, self._masks, self._settings, now, started)
        if request.scenario is not None and request.version != (ask.version or request.version):
            row.warn("scenario_changed")
        if request.scenario is not None and request.in_force is None and ask.version is None and self._scenarios.any:
            predictor = None if view.stages is None else view.stages.predictor
            if predictor is None or request.scenario not in predictor.objectives:
                row.warn("unknown_scenario")
        return row

    def line(self, row: Row, view: View) -> np.ndarray:
        """The scores that a row's list was chosen from, float32 (size,)."""
        return self.retriever.line(row, view, None if row.origin == "model" else self._shelves.popular(view, None)[0])

    def matching(self, view: View, clause: Clause, context: Mapping[str, Any]) -> np.ndarray:
        """The items that a filter holds for, bool (size,). Raises FilterError where it does not fit the catalogue."""
        return self._masks.matching_of(view, clause, context)

    def fill(self, rows: Sequence[Row], view: View, now: int) -> None:
        """Reads histories and fills the rows' lists."""
        settings, started = self._settings, time.perf_counter()
        if not rows:
            return
        left = max(row.deadline for row in rows) - started
        budget = min(settings.store_budget_ms / 1000, max(left, 0.001))
        histories.read(rows, view, self._store, self._guard, length=settings.history_length, budget_seconds=budget, now=now)
        self.watch("history", time.perf_counter() - started)
        by_ask = {id(row.ask): row for row in rows}
        for row in rows:
            self._set_origin(row, view)
            others = sum(by_ask[id(ask)].request.limit for ask in row.ask.shelves if id(ask) in by_ask)
            row.depth = first_depth(row, settings.pool, view.size, self._voice.depth(row), others)
        waiting = list(rows)
        while waiting:
            for group in _groups(waiting):
                self._retrieve(group, view, by_ask, now)
            waiting = [row for row in waiting if not row.done]

    def _set_origin(self, row: Row, view: View) -> None:
        """Decides what scores the items for a row."""
        reason = None
        if view.scoring is None:
            row.fallback = "popular"
        elif row.status == "degraded":
            reason = ""
        elif time.perf_counter() + self._model_seconds > row.deadline:
            reason = "deadline"
        elif view.personal and not view.readable(row.past.codes):
            row.fallback = "popular"
        if reason is not None:
            self._give_up(row, view, reason)
        elif row.fallback is not None:
            row.origin = "popular"
            if row.status == "ok":
                row.status = "fallback"

    def _give_up(self, row: Row, view: View, reason: str) -> None:
        """The last good list of this user comes first, what is popular fills it up."""
        if reason:
            row.degrade(reason)
        row.origin, row.fallback = "popular", "popular"
        row.depth = min(row.depth + row.request.limit, view.size)
        for item_id in (self.last.get(row.user) or ()) if row.user is not None else ():
            code = view.code(item_id)
            if (
                code is not None
                and row.gate.open[code]
                and code not in row.banned
                and len(row.head) < row.request.limit - len(row.pins)
            ):
                row.head.append(code)
                row.sources[code] = "cached"
        if row.head:
            row.fallback = "cached"
            row.banned.update(row.head)

    def _retrieve(self, rows: Sequence[Row], view: View, by_ask: dict[int, Row], now: int) -> None:
        """One scoring for rows of one origin; those that need to look deeper stay undone."""
        model = rows[0].origin == "model"
        depth = max(row.depth for row in rows)
        try:
            started = time.perf_counter()
            popular = None if model else self._shelves.popular(view, None)[0]
            if model and view.stages is not None:
                codes, scores = self.two_stage.best(rows, view, depth, now)
            else:
                codes, scores = self.retriever.best(rows, view, popular, depth)
            took = time.perf_counter() - started
            self.watch("score", took)
            if model:
                self._model_seconds += (took - self._model_seconds) * 0.1
        except Exception as error:  # whatever a model may raise: while any source lives there is an answer
            if not model:
                raise
            if len(rows) > 1:  # only whoever cannot be answered is to suffer
                for row in rows:
                    self._retrieve([row], view, by_ask, now)
                return
            logger.error("the model failed: %s", type(error).__name__, exc_info=error)
            self._give_up(rows[0], view, "model_failed")
            return
        scored = time.perf_counter()
        if any(row.request.rerank for row in rows):
            self._voice.order(rows, view, codes)
            self.watch("language", time.perf_counter() - scored)
            scored = time.perf_counter()
        for row, found, values in zip(rows, codes, scores, strict=True):
            found, values = found[: row.depth], values[: row.depth]  # what others look at must change nothing
            try:
                self._finish(row, view, found[found > 0], values[found > 0], by_ask, now)
            except Exception as error:  # the list as the scores order it; nobody else's answer suffers
                logger.error("re-ranking failed: %s", type(error).__name__, exc_info=error)
                row.degrade("reranking_failed")
                row.codes = [code for code in found[found > 0].tolist() if code not in row.banned][: row.request.limit]
                row.done = True
        self.watch("rerank", time.perf_counter() - scored)

    def _finish(self, row: Row, view: View, codes: np.ndarray, scores: np.ndarray, by_ask: dict[int, Row], now: int) -> None:
        earlier = [by_ask[id(ask)] for ask in row.ask.shelves if id(ask) in by_ask]
        if not all(other.done for other in earlier):
            return
        taken = {code for other in earlier for code in other.codes}
        row.scores.update(zip(codes.tolist(), scores.tolist(), strict=True))
        found = chosen(row, view, dealt(row, codes), scores, taken, now)
        request, short = row.request, row.request.limit - len(row.pins) - len(found)
        if short and len(codes) >= row.depth and row.depth < view.size:
            row.depth = min(4 * row.depth, view.size)
            return
        if short and not row.relaxed and not all(clause.strict for clause in request.clauses):
            row.relaxed, row.head = True, found
            strict = [clause for clause in request.clauses if clause.strict]
            row.gate = self._masks.gate_of(view, now, strict, request.context)
            row.banned.update(found)
            return
        if row.relaxed and len(found) > len(row.head):
            row.warn("filter_relaxed")
        row.codes = with_pins(row, found)
        if len(row.codes) < request.limit:
            row.warn("insufficient_candidates")
        row.done = True


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one origin and of like depth, in their order."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        depth = 0 if row.depth <= _SHALLOW else row.depth.bit_length()
        groups.setdefault((row.origin, depth), []).append(row)
    return list(groups.values())
