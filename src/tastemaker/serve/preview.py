"""Preview: lists of some users as they are, beside those under a draft; a dry run that keeps nothing.

```
users ─┬─ under what is in force ─▶ rows ─┬─▶ what moved, and why ─▶ totals
       └─ under the draft ────────▶ rows ─┘
```
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec import UNSET

from tastemaker.serve.asks import Ask, Row
from tastemaker.serve.desk import Desk
from tastemaker.serve.envelope import model_name
from tastemaker.serve.explain import unmasked
from tastemaker.serve.ids import checked
from tastemaker.serve.rule_checks import check, hold, titled
from tastemaker.serve.rules import InForce, settled
from tastemaker.serve.view import View
from tastemaker.store.base import Store
from tastemaker.wire.bodies import Recommend
from tastemaker.wire.scenarios import (
    Moving,
    PreviewBody,
    PreviewItem,
    PreviewReply,
    PreviewTotals,
    PreviewUser,
    Rules,
)

_TOGETHER = 8
"""Users whose lists are made at once: others wait for the model meanwhile."""
_DEADLINE_MS = 60_000.0
_DRAWN_FROM = 4
_MOST_MOVING = 20
_VARIETY = {"diversity": "diversity", "max_per": "caps", "rotation": "rotation"}


def preview(
    name: str, in_force: InForce | None, rules: Rules, body: PreviewBody, desk: Desk, view: View, store: Store, now: int
) -> PreviewReply:
    """What `rules` would change for some users.

    Raises:
        RequestError: a rule or an id is no good.
        StoreError: the store is away.
    """
    started = time.perf_counter()
    told = hold(check(rules, desk, view, now))
    users = [checked(one, "user_ids") for one in dict.fromkeys(body.user_ids)] or drawn(view, store, body.users)
    draft = InForce(name, 1 + (0 if in_force is None else in_force.version), rules)
    pairs: list[tuple[Row, Row]] = []
    for start in range(0, len(users), _TOGETHER):
        asked = [
            Recommend(
                user_id=user,
                scenario=name,
                limit=UNSET if body.limit is None else body.limit,
                deadline_ms=_DEADLINE_MS,
            )
            for user in users[start : start + _TOGETHER]
        ]
        asks = [Ask(request, record=False) for request in asked for _ in range(2)]
        wishes = [settled(request, whose) for request in asked for whose in (in_force, draft)]
        rows = desk.rows(asks, view, now, wishes)
        pairs += zip(rows[::2], rows[1::2], strict=True)
    scores = [_scores(before, after, desk, view) for before, after in pairs]
    made = [
        _user(user, before, after, scored, view, now)
        for user, (before, after), scored in zip(users, pairs, scores, strict=True)
    ]
    gone, come = Counter[str](), Counter[str]()
    for one in made:
        gone.update(item.item_id for item in one.before if item.other_rank is None)
        come.update(item.item_id for item in one.after if item.other_rank is None)
    return PreviewReply(
        compared="no rules" if in_force is None else f"version {in_force.version}",
        drawn=not body.user_ids,
        model=model_name(view),
        users=made,
        totals=_totals(made, pairs),
        entering=_moving(come, view),
        leaving=_moving(gone, view),
        checked=told,
        took_ms=round((time.perf_counter() - started) * 1000, 3),
    )


def drawn(view: View, store: Store, count: int) -> list[str]:
    """Users to look at: drawn from those that the model knows and nobody erased, who did something first; the same ones each time."""
    known = None if view.recommender is None else view.recommender.users.ids
    if known is None or not len(known):
        return [one.user_id for one in store.users(limit=count).rows]
    places = random.Random(0).sample(range(len(known)), min(len(known), _DRAWN_FROM * count))
    ids = [str(known[place].as_py()) for place in places]
    ids = [one for one, gone in zip(ids, store.erased(ids), strict=True) if not gone]
    active = [bool(past) for past in store.histories(ids, 1)]
    order = sorted(range(len(ids)), key=lambda place: not active[place])
    return [ids[place] for place in order[:count]]


def _scores(before: Row, after: Row, desk: Desk, view: View) -> dict[int, float]:
    """What the model itself thinks of the items of both lists, boosts left out; nothing where it made neither."""
    codes = [*before.codes, *after.codes]
    if before.origin != "model" or after.origin != "model":
        return {}
    found: dict[int, float] = {}
    if before.staged is not None and after.staged is not None:
        for row in (before, after):
            assert row.staged is not None
            shift = np.zeros(len(row.staged.codes))
            for mask, weight in row.boosts:
                shift += mask[row.staged.codes] * math.log(weight)
            found.update(zip(row.staged.codes.tolist(), (row.staged.scores - shift).tolist(), strict=True))
    else:
        free = unmasked(before, view)
        free.boosts = []
        line = desk.line(free, view)
        found = {code: float(line[code]) for code in codes}
    return {code: found[code] for code in codes if code in found and math.isfinite(found[code])}


def _user(user: str, before: Row, after: Row, scores: dict[int, float], view: View, now: int) -> PreviewUser:
    was, will = ({code: rank for rank, code in enumerate(row.codes, start=1)} for row in (before, after))
    size = max(len(was), len(will))
    changed = sum(before.codes[place : place + 1] != after.codes[place : place + 1] for place in range(size))
    return PreviewUser(
        user_id=user,
        before=[_item(code, rank, will, scores, view, _gone(code, rank, will, after, view, now)) for code, rank in was.items()],
        after=[
            _item(code, rank, was, scores, view, _came(code, rank, was, before, after, view)) for code, rank in will.items()
        ],
        changed=changed,
        score_given_up=_less(_mean(before.codes, scores), _mean(after.codes, scores)),
        status_before=before.status,
        status_after=after.status,
        warnings=after.warnings,
    )


def _item(
    code: int, rank: int, others: dict[int, int], scores: dict[int, float], view: View, reason: tuple[str, str]
) -> PreviewItem:
    by, why = reason
    score = scores.get(code)
    return PreviewItem(
        item_id=view.ids[code],
        rank=rank,
        properties=titled(view, code),
        other_rank=others.get(code),
        score=None if score is None else round(score, 6),
        why=why,
        by=by,
    )


def _gone(code: int, rank: int, will: dict[int, int], after: Row, view: View, now: int) -> tuple[str, str]:
    """What took an item off the list."""
    if code in will:
        return "", ""
    if not view.open_at(now)[1][code]:
        return "unavailable", "not available any more"
    if view.ids[code] in after.request.exclude_item_ids:
        return "excluded", "excluded"
    if code in after.seen:
        return "seen", "the user has met it"
    if not after.gate.open[code]:
        return "filter", "does not match the filter"
    if rank > after.request.limit:
        return "displaced", f"the list has {after.request.limit} places"
    if _weight(after, code) < 1:
        return "boost", f"weighs {_weight(after, code):g} times as much"
    return "displaced", "others took its place"


def _came(code: int, rank: int, was: dict[int, int], before: Row, after: Row, view: View) -> tuple[str, str]:
    """What put an item where it is."""
    pinned = next((place for place, one in after.pins.items() if one == code), None)
    old = was.get(code)
    if pinned is not None:
        return "pin", f"pinned at position {pinned + len(after.ask.before)}"
    if old == rank:
        return "", ""
    weight = _weight(after, code)
    if weight != _weight(before, code) and (weight > _weight(before, code)) == (old is None or rank < old):
        return "boost", f"weighs {weight:g} times as much"
    if old is None:
        if code in before.pins.values() or code not in before.banned:
            if not before.gate.open[code]:
                return "filter", "the filter of now leaves it out"
        elif view.ids[code] in before.request.exclude_item_ids:
            return "excluded", "no longer excluded"
        elif code in before.seen:
            return "seen", "what was seen may come again"
    if old is None and rank > before.request.limit:
        return "displaced", "the list is longer"
    others = [name for name in _VARIETY if getattr(before.request, name) != getattr(after.request, name)]
    if others:
        return others[0], f"by {' and '.join(_VARIETY[name] for name in others)}"
    return "displaced", "up, since others went" if old is None or rank < old else "down, since others came"


def _weight(row: Row, code: int) -> float:
    return math.prod(weight for mask, weight in row.boosts if mask[code])


def _totals(made: Sequence[PreviewUser], pairs: Sequence[tuple[Row, Row]]) -> PreviewTotals:
    slots = sum(max(len(one.before), len(one.after)) for one in made)
    changed = sum(one.changed for one in made)
    was = {item.item_id for one in made for item in one.before}
    will = {item.item_id for one in made for item in one.after}
    warnings = Counter(warning for one in made for warning in one.warnings)
    before = [item.score for one in made for item in one.before if item.score is not None and one.score_given_up is not None]
    after = [item.score for one in made for item in one.after if item.score is not None and one.score_given_up is not None]
    given_up = [one.score_given_up for one in made if one.score_given_up is not None]
    return PreviewTotals(
        users=len(made),
        slots=slots,
        changed=changed,
        share_changed=changed / slots if slots else 0.0,
        lists_changed=sum(one.changed > 0 for one in made),
        entering=len(will - was),
        leaving=len(was - will),
        short=sum(len(after.codes) < after.request.limit for _, after in pairs),
        warnings=dict(warnings),
        score_before=_round(float(np.mean(before)) if before else None),
        score_after=_round(float(np.mean(after)) if after else None),
        score_given_up=_round(float(np.mean(given_up)) if given_up else None),
        score_spread=_round(float(np.std(before)) if before else None),
    )


def _moving(counts: Counter[str], view: View) -> list[Moving]:
    """Items by how many lists they enter or leave, equal ones by id."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_MOVING]
    return [Moving(item_id=one, properties=titled(view, view.codes[one]), lists=lists) for one, lists in ordered]


def _mean(codes: Sequence[int], scores: dict[int, float]) -> float | None:
    found = [scores[code] for code in codes if code in scores]
    return sum(found) / len(found) if found else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else _round(one - other)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
