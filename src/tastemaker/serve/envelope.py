"""Envelopes: a filled row as the answer that is sent, remembered for its next page and recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tastemaker.recommend.stages import sources_of
from tastemaker.serve.asks import Row
from tastemaker.serve.ids import new_id
from tastemaker.serve.pages import Pages, kept
from tastemaker.serve.reasons import reasons_of
from tastemaker.serve.recorder import Recorder
from tastemaker.serve.view import View
from tastemaker.store.base import Shown
from tastemaker.wire.bodies import Answer, Counts, ModelName, Shelf


class Envelopes:
    """Makes answers of rows."""

    def __init__(self, pages: Pages, recorder: Recorder) -> None:
        self._pages, self._recorder = pages, recorder

    def of(self, rows: Sequence[Row], view: View, now: int, started: float) -> list[Answer]:
        """The answers, in order; those whose ask says so are recorded."""
        answers, shown = [], []
        for row in rows:
            answer = _answer(row, view, new_id(now))
            assert answer.recommendation_id is not None
            ids = [shelf.item_id for shelf in answer.items]
            self._pages.put(answer.recommendation_id, row.ask, ids, row.request.version)
            if len(ids) == row.request.limit:
                answer.next_cursor = self._pages.cursor(answer.recommendation_id)
            if row.ask.record:
                source = view.source if row.origin == "model" else row.fallback or "popular"
                request = kept(row.ask, row.request.version) | _standings(row)
                shown.append(Shown(answer.recommendation_id, row.request.user_id, now, tuple(ids), source, request))
            answers.append(answer)
        self._recorder.put(shown)
        finished = time.perf_counter()
        for row, answer in zip(rows, answers, strict=True):
            arrived = started if row.ask.arrived is None else row.ask.arrived
            answer.took_ms = round((finished - arrived) * 1000, 3)
        return answers


def _answer(row: Row, view: View, recommendation_id: str) -> Answer:
    request, include = row.request, row.request.include
    source = view.model_name if row.origin == "model" else "popular"
    scored, described = "score" in include, "properties" in include
    reasons = reasons_of(row, view) if "reasons" in include else None
    named = _named(row, view)
    items = []
    for rank, code in enumerate(row.codes, start=1):
        shelf = Shelf(item_id=view.ids[code], rank=rank, source=row.sources.get(code) or named.get(code, source))
        if scored:
            shelf.score = row.scores.get(code)
        if described:
            shelf.properties = view.properties(code)
        if reasons is not None:
            shelf.reasons = reasons.get(code, [])
        if row.explanations:
            shelf.explanation = row.explanations.get(code)
        items.append(shelf)
    return Answer(
        recommendation_id=recommendation_id,
        items=items,
        status=row.status,  # type: ignore[arg-type]
        fallback=row.fallback,
        warnings=row.warnings,
        model=model_name(view) if row.origin == "model" else None,
        scenario=request.scenario,
        scenario_version=request.version or None,
        counts=counts_of(row),
    )


def _named(row: Row, view: View) -> dict[int, str]:
    """The sources that named each item of a list of two stages."""
    if row.staged is None or row.origin != "model" or view.stages is None:
        return {}
    found = dict(zip(row.staged.codes.tolist(), row.staged.found.tolist(), strict=True))
    return {code: sources_of(found[code], view.stages.sources) for code in row.codes if code in found}


def _standings(row: Row) -> dict[str, Any]:
    """What each source thought of the items shown, null of those that none named: models change, so nobody could tell later."""
    staged = row.staged
    if staged is None or row.origin != "model" or not staged.ranked:
        return {}
    place_of = {code: place for place, code in enumerate(staged.codes.tolist())}
    places = [place_of.get(code) for code in row.codes]
    return {
        "standings": {
            name: [None if place is None else float(values[place]) for place in places]
            for name, values in staged.standings.items()
        }
    }


def model_name(view: View) -> ModelName | None:
    """The version a view answers with."""
    if view.model is None:
        return None
    return ModelName(name=view.model_name, version=0 if view.version is None else view.version.version)


def counts_of(row: Row) -> Counts:
    """How many items came and went on the way."""
    gate = row.gate
    return Counts(
        candidates=gate.candidates,
        filtered_seen=sum(1 for code in row.seen if gate.open[code]),
        filtered_rule=gate.filtered_rule,
        filtered_unavailable=gate.unavailable,
    )
