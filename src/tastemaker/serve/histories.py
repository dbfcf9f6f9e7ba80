"""What users did, read from the store for each batch of requests, so that the event of a moment ago is in the next answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import StoreError
from tastemaker.serve.asks import Past, Row
from tastemaker.serve.guard import Guard
from tastemaker.serve.staging import reads_users
from tastemaker.serve.view import View
from tastemaker.store.base import Done, Store
from tastemaker.wire.bodies import SeenRule

_DAY = 86_400_000_000
_MARGIN = 1.25
"""More events are asked for than the model reads, for those on items it does not know."""

Rule = tuple[tuple[str, ...] | None, float | None]


def read(rows: Sequence[Row], view: View, store: Store, guard: Guard, *, length: int, budget_seconds: float, now: int) -> None:
    """Fills histories and what was seen into the rows, by one question for all of them.

    Rows whose history cannot be read in time are marked degraded and go on without. `length` is what is read where the model names
    no length of its own.
    """
    asking = [row for row in rows if row.user is not None]
    if not asking:
        return
    users = list(dict.fromkeys(row.user for row in asking if row.user is not None))
    by_rule: dict[Rule, dict[str, None]] = {}
    for row in asking:
        if row.seen_rule is not None and row.user is not None:
            by_rule.setdefault(_rule(row.seen_rule), {})[row.user] = None
    limit = asked_for(view, length)
    with_profiles = view.stages is not None and reads_users(view.stages)

    def question() -> tuple[list[list[Done]], list[list[set[str]]], list[Mapping[str, Any]]]:
        seens = [
            store.seen(list(who), kinds, None if days is None else now - int(days * _DAY))
            for (kinds, days), who in by_rule.items()
        ]
        return store.histories(users, limit), seens, store.profiles(users) if with_profiles else [{}] * len(users)

    try:
        histories, seens, profiles = guard.ask(question, budget_seconds)
    except StoreError:
        for row in asking:
            row.degrade("history_unavailable")
        return
    history_of = dict(zip(users, histories, strict=True))
    profile_of = dict(zip(users, profiles, strict=True))
    before = now if view.stages is not None else None  # a ranker's rows hold nothing that is not before their moment
    seen_of = {
        (rule, user): ids
        for (rule, who), sets in zip(by_rule.items(), seens, strict=True)
        for user, ids in zip(who, sets, strict=True)
    }
    for row in asking:
        assert row.user is not None
        row.past = past_of(row.user, history_of[row.user], view, before)
        row.past.profile = profile_of[row.user]
        if row.seen_rule is not None:
            codes, size = view.codes, view.size
            row.seen = {
                code
                for item in seen_of[_rule(row.seen_rule), row.user]
                if (code := codes.get(item)) is not None and code < size
            }
            row.banned |= row.seen


def asked_for(view: View, length: int) -> int:
    """The newest events of a user that the store is asked for."""
    return int(_MARGIN * reads(view, length)) + 1


def reads(view: View, length: int) -> int:
    """The newest events that the model in use reads of a history."""
    if view.stages is not None:
        lengths = (getattr(source.model.config, "max_length", length) for source in view.stages.sources)
        return max(view.stages.moments.reads, *map(int, lengths))
    return int(getattr(view.model.config, "max_length", length)) if view.model is not None else length


def _rule(rule: SeenRule) -> Rule:
    return None if rule.types is None else tuple(sorted(rule.types)), rule.days


def past_of(user: str, events: Sequence[Done], view: View, before: int | None = None) -> Past:
    """A stored history in codes, of what was done before a time (µs) if one is given; a user without events has no code either."""
    held, size = view.codes.get, view.size
    if before is not None:
        events = [event for event in events if event.time < before]
    met = [(code, event.time, event.value) for event in events if (code := held(event.item_id, size)) < size]
    codes, times, values = map(list, zip(*met, strict=True)) if met else ([], [], [])
    known_as = view.user_codes.get(user, UNKNOWN)
    return Past(codes, times, values, known_as if events else UNKNOWN, known_as)
