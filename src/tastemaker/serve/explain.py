"""Explain: one item's way through every stage of one user's list, why and why not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from msgspec import UNSET

from tastemaker.serve import ways
from tastemaker.serve.asks import Ask, Row
from tastemaker.serve.desk import Desk
from tastemaker.serve.envelope import model_name
from tastemaker.serve.ids import checked
from tastemaker.serve.masks import everything
from tastemaker.serve.reasons import reasons_of
from tastemaker.serve.times import to_text
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Explain, Recommend, Step, Trace

_RERANKING = ("rerank", "diversity", "max_per", "rotation")


def explain(body: Explain, desk: Desk, view: View, now: int) -> Trace:
    """The trace of `body.item_id` for `body.user_id`, with the request given or its defaults.

    Raises:
        RequestError: the request cannot be answered as asked.
    """
    user, item = checked(body.user_id, "user_id"), checked(body.item_id, "item_id")
    request = msgspec.structs.replace(body.request or Recommend(), user_id=user)
    row, *variants = _rows(request, desk, view, now)
    code = view.code(item)
    trace = Trace(
        user_id=user,
        item_id=item,
        recommended=code in row.codes,
        rank=row.codes.index(code) + 1 if code in row.codes else None,
        score=None,
        steps=[],
        reasons=[],
        model=model_name(view) if row.origin == "model" else None,
    )
    if code is None:
        trace.steps.append(Step(stage="retrieve", passed=False, detail="nothing is known of this item"))
        return trace
    ranking: list[Step] = []
    if row.staged is not None and view.stages is not None and row.origin == "model":
        line = ways.line(row.staged, view.size)
        trace.score = float(line[code]) if np.isfinite(line[code]) else None
        retrieved, ranking = ways.retrieved(row, unmasked(row, view), desk, view, code), ways.ranked(row.staged, view, code)
        if body.features:
            trace.features = ways.features(row, view, code, now)
    else:
        line, free = desk.line(row, view), desk.line(unmasked(row, view), view)
        trace.score = float(free[code]) if np.isfinite(free[code]) else None
        retrieved = _retrieved(row, view, code, free)
    trace.steps = [
        retrieved,
        _available(view, code, now),
        _filtered(row, desk, view, code, now),
        _seen(row, view, code),
        *ranking,
        *_boosted(row, code),
        *_pinned(row, code),
        *_reranked(row, variants, code),
    ]
    trace.steps.append(_cut(row, code, line))
    trace.reasons = reasons_of(row, view, [code])[code]
    return trace


def _rows(request: Recommend, desk: Desk, view: View, now: int) -> list[Row]:
    """The request's row, then those of the request with its re-ranking stages put in one after the other."""
    ask = Ask(request, record=False)
    whole = desk.settled(ask)
    bare = replace(whole, rerank=None, rotation=None, diversity=0.0, max_per={})
    steps = [whole, bare]
    for name in _RERANKING:
        bare = replace(bare, **{name: getattr(whole, name)})
        steps.append(bare)
    return desk.rows([ask] * len(steps), view, now, steps)


def unmasked(row: Row, view: View) -> Row:
    """The same user and model, every item allowed."""
    open_row = Row(row.ask, row.request, everything(view), row.boosts, {}, set(), row.deadline, None, row.user)
    open_row.past, open_row.origin = row.past, row.origin
    return open_row


def _retrieved(row: Row, view: View, code: int, line: np.ndarray) -> Step:
    place = 1 + int((line > line[code]).sum()) + int((line[:code] == line[code]).sum())
    if row.origin != "model":
        by = "by events, since there is no history of the user to go by" if row.status == "fallback" else "by events"
    elif code >= view.known:
        by = "as a newcomer, by the items it is like"
    else:
        by = f"by {view.model_name}"
    return Step(
        stage="retrieve",
        passed=bool(np.isfinite(line[code])),
        detail=f"scored {by}: place {place} of {view.size - 2} before anything is left out",
    )


def _available(view: View, code: int, now: int) -> Step:
    item, passed = view.item(code), bool(view.open_at(now)[1][code])
    detail = "available"
    if not passed:
        if item.deleted:
            detail = "deleted from the catalogue"
        elif item.hidden:
            detail = "hidden"
        elif item.available_from is not None and item.available_from > now:
            detail = f"available from {to_text(item.available_from)}"
        elif item.expires_at is not None:
            detail = f"expired at {to_text(item.expires_at)}"
    return Step(stage="availability", passed=passed, detail=detail)


def _filtered(row: Row, desk: Desk, view: View, code: int, now: int) -> Step:
    request, told, passed = row.request, [], True
    for clause in request.clauses:
        holds = bool(desk.matching(view, clause, request.context)[code])
        passed = passed and holds
        whose = f" of {request.in_force}" if clause.scenario else ""
        lifted = ", which was lifted to fill the list" if row.relaxed and not clause.strict else ""
        told.append(f"{'matches' if holds else 'does not match'} the filter{whose}{lifted}")
    return Step(stage="filter", passed=passed, detail="; ".join(told) or "no filter was asked for")


def _seen(row: Row, view: View, code: int) -> Step:
    if code in row.seen:
        return Step(stage="seen", passed=False, detail="the user has met it")
    if view.ids[code] in row.ask.request.exclude_item_ids:
        return Step(stage="seen", passed=False, detail="excluded by the request")
    if view.ids[code] in row.request.exclude_item_ids:
        return Step(stage="seen", passed=False, detail=f"excluded by {row.request.in_force}")
    detail = "the user has not met it"
    if row.seen_rule is None:
        detail = f"what was seen may come again{_by(row, 'exclude_seen')}"
    return Step(stage="seen", passed=True, detail=detail)


def _boosted(row: Row, code: int) -> list[Step]:
    if not row.boosts:
        return []
    told = []
    for scenario in (False, True):
        own = [
            weight
            for (mask, weight), boost in zip(row.boosts, row.request.boosts, strict=True)
            if boost.clause.scenario == scenario and mask[code]
        ]
        if own:
            told.append(f"{float(np.prod(own)):g} times as much{f' by {row.request.in_force}' if scenario else ''}")
    detail = f"weighs {' and '.join(told)}" if told else "no boost matches"
    return [Step(stage="boosts", passed=True, detail=detail)]


def _pinned(row: Row, code: int) -> list[Step]:
    ranks = [rank for rank, pinned in row.pins.items() if pinned == code]
    if not ranks:
        return []
    own = row.request.in_force is None or any(pin.position == ranks[0] + len(row.ask.before) for pin in row.ask.request.pins)
    by = "" if own else f" by {row.request.in_force}"
    return [Step(stage="pins", passed=True, detail=f"pinned at rank {ranks[0]}{by}")]


def _by(row: Row, name: str) -> str:
    """Whose doing a stage is, where it is the scenario's alone."""
    in_force, asked = row.request.in_force, getattr(row.ask.request, name)
    if in_force is None or name == "rerank" or not (asked is UNSET or (name == "max_per" and not asked)):
        return ""
    return f", by {in_force}" if getattr(in_force.rules, name) is not None else ""


def _reranked(row: Row, variants: list[Row], code: int) -> list[Step]:
    """What each re-ranking stage did to the item's place."""
    steps, before = [], variants[0]
    for name, after in zip(_RERANKING, variants[1:], strict=True):
        if getattr(row.request, name):
            was, is_now = (
                f"place {one.codes.index(code) + 1}" if code in one.codes else "below the cut" for one in (before, after)
            )
            passed = code in after.codes or code not in before.codes or code in row.codes  # a later stage may bring it back
            steps.append(Step(stage=name, passed=passed, detail=f"{was} → {is_now}{_by(row, name)}"))
        before = after
    return steps


def _cut(row: Row, code: int, line: np.ndarray) -> Step:
    limit = row.request.limit
    if code in row.codes:
        return Step(stage="limit", passed=True, detail=f"rank {row.codes.index(code) + 1} of {limit}")
    if not np.isfinite(line[code]):
        return Step(stage="limit", passed=False, detail="left out before")
    place = 1 + int((line > line[code]).sum()) + int((line[:code] == line[code]).sum())
    return Step(stage="limit", passed=False, detail=f"place {place} by score, of {limit} asked for")
