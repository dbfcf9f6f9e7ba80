"""Rules: a request and the scenario that it names, made one.

| of a request | with those of its scenario |
|---|---|
| `filter` | both hold; each reads its own `parameters`, and its own `strict_filter` says whether it may be lifted to fill a list |
| `boosts` | all count: what two of them match is raised by both |
| `pins` | both, but where they name the same position or the same item: there the request's |
| `exclude_item_ids` | neither's may come |
| `max_per` | all caps hold; for the same property the request's |
| `limit`, `exclude_seen`, `diversity`, `rotation` | the request's where it gives one, even if that is the default; else the scenario's; else the default |

What a request does not give is `msgspec.UNSET`, so that a limit of 10 that was asked for is told from none. Pure functions; nothing here knows
a catalogue or a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import UnsetType

from tastemaker.wire.bodies import ListInclude, Pin, Recommend, RecommendSession, Rerank, Rotation, SeenRule, SessionEvent
from tastemaker.wire.scenarios import Rules

LIMIT = 10
"""Length of a list, unless it is given."""
EVERYTHING = SeenRule()
"""`exclude_seen: true`, which is the default"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clause:
    """A filter, and what it reads."""

    text: str
    parameters: Mapping[str, Any]
    strict: bool = True
    """False: it may be lifted to fill a list"""
    scenario: bool = False
    """whether it is the scenario's"""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A boost, and what its filter reads."""

    clause: Clause
    weight: float


@dataclass(frozen=True, slots=True)
class InForce:
    """A published version of a scenario."""

    name: str
    version: int
    rules: Rules

    def __str__(self) -> str:
        return f"scenario {self.name} version {self.version}"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a list is to be, once nothing is left open: the request with the rules of its scenario."""

    user_id: str | None
    limit: int
    scenario: str | None
    in_force: InForce | None
    """whose rules are in it"""
    clauses: tuple[Clause, ...]
    boosts: tuple[Weighed, ...]
    pins: Sequence[Pin]
    exclude_item_ids: Sequence[str]
    exclude_seen: SeenRule | None
    """None: what was seen may come again"""
    diversity: float
    max_per: Mapping[str, int]
    rotation: Rotation | None
    context: Mapping[str, Any]
    rerank: Rerank | None
    include: Sequence[ListInclude]
    deadline_ms: float | None
    events: Sequence[SessionEvent] | None
    """of a session; None: of a user, or of nobody"""

    @property
    def version(self) -> int:
        """Of the scenario, 0 where none is in force."""
        return 0 if self.in_force is None else self.in_force.version


def settled(request: Recommend, in_force: InForce | None = None) -> Settled:
    """A request under the rules of a scenario, None for no rules."""
    rules = None if in_force is None else in_force.rules
    clauses = [] if request.filter is None else [Clause(request.filter, request.parameters, request.strict_filter)]
    boosts = [Weighed(Clause(boost.filter, request.parameters), boost.weight) for boost in request.boosts]
    pins, excluded, max_per = request.pins, request.exclude_item_ids, request.max_per
    limit: int | UnsetType = request.limit
    diversity: float | UnsetType = request.diversity
    rotation: Rotation | UnsetType | None = request.rotation
    seen: bool | SeenRule | UnsetType = request.exclude_seen
    if rules is not None:
        if rules.filter is not None:
            clauses.insert(0, Clause(rules.filter, rules.parameters, rules.strict_filter, scenario=True))
        own = [Weighed(Clause(boost.filter, rules.parameters, scenario=True), boost.weight) for boost in rules.boosts]
        boosts = own + boosts
        pins = _pins(request.pins, rules.pins)
        excluded = [*excluded, *rules.exclude_item_ids]
        max_per = {**rules.max_per, **max_per}
        limit, diversity = _given(limit, rules.limit), _given(diversity, rules.diversity)
        rotation, seen = _given(rotation, rules.rotation), _given(seen, rules.exclude_seen)
    rule = True if isinstance(seen, UnsetType) else seen
    return Settled(
        user_id=request.user_id,
        limit=LIMIT if isinstance(limit, UnsetType) else limit,
        scenario=request.scenario,
        in_force=in_force,
        clauses=tuple(clauses),
        boosts=tuple(boosts),
        pins=pins,
        exclude_item_ids=excluded,
        exclude_seen=rule if isinstance(rule, SeenRule) else EVERYTHING if rule else None,
        diversity=0.0 if isinstance(diversity, UnsetType) else diversity,
        max_per=max_per,
        rotation=None if isinstance(rotation, UnsetType) else rotation,
        context=request.context,
        rerank=request.rerank,
        include=request.include,
        deadline_ms=request.deadline_ms,
        events=request.events if isinstance(request, RecommendSession) else None,
    )


def _given(request: T | UnsetType, rule: T | None) -> T | UnsetType:
    """The request's value, or the scenario's, or none."""
    return rule if isinstance(request, UnsetType) and rule is not None else request


def _pins(request: Sequence[Pin], rules: Sequence[Pin]) -> list[Pin]:
    """The request's pins, then those of the scenario that are not in their way."""
    places, ids = {pin.position for pin in request}, {pin.item_id for pin in request}
    return [*request, *(pin for pin in rules if pin.position not in places and pin.item_id not in ids)]
