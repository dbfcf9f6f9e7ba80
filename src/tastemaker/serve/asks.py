"""What is asked, and what becomes of it on the way to an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tastemaker.data.features.encoded import Features
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import FilterError
from tastemaker.serve.ids import checked
from tastemaker.serve.masks import Gate, Masks
from tastemaker.serve.rules import Clause, Settled
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Recommend, SeenRule, SessionEvent


@dataclass(frozen=True, eq=False)
class Ask:
    """A request, with what was shown before where it is for a next page or for one of several shelves."""

    request: Recommend
    before: tuple[str, ...] = ()
    """items of the pages before"""
    previous: tuple[str, ...] = ()
    """recommendation ids of the pages before, the first one first"""
    shelves: tuple[Ask, ...] = ()
    """asks of the same batch, earlier in it, none of whose items may come again"""
    record: bool = True
    """whether the answer is kept in the store"""
    arrived: float | None = None
    """`time.perf_counter()` when it was received; None: now"""
    quiet: bool = False
    """whether the language model has no room for it"""
    version: int | None = None
    """of its scenario, as the pages before had it (0: none was in force); None: the one in force now"""


@dataclass(slots=True, eq=False)
class Past:
    """What a user did, as the model reads it: oldest first."""

    codes: list[int] = field(default_factory=list)
    """of items; those the model does not know included"""
    times: list[int] = field(default_factory=list)
    """µs"""
    values: list[float] = field(default_factory=list)
    user_code: int = UNKNOWN
    known_as: int = UNKNOWN
    """the user's code even where nothing was done yet"""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """properties, where a ranker reads any"""

    def add(self, code: int, time: int, value: float) -> None:
        """One more event."""
        self.codes.append(code)
        self.times.append(time)
        self.values.append(value)


@dataclass(slots=True, eq=False)
class Staged:
    """The candidates of a row and what was thought of them."""

    codes: np.ndarray
    """int32 (candidates,), in the order in which the sources name them"""
    found: np.ndarray
    """int64 (candidates,): bit s says that source s named it"""
    standings: dict[str, np.ndarray]
    """float32 (candidates,) of each source: as it goes into the ranker's rows"""
    scores: np.ndarray
    """float32 (candidates,): log odds, boosts included"""
    ranked: bool
    """whether the ranker said so"""
    features: Features | None = None
    """the rows that it read, where somebody wants to see them"""


@dataclass(slots=True, eq=False)
class Row:
    """One request on its way."""

    ask: Ask
    request: Settled
    """what was asked, with the rules of its scenario"""
    gate: Gate
    """what may be recommended at all"""
    boosts: list[tuple[np.ndarray, float]]
    """mask and weight"""
    pins: dict[int, int]
    """code by rank, from 1"""
    banned: set[int]
    """codes not to come: excluded, shown before, pinned, seen"""
    deadline: float
    """`time.perf_counter()` by which to answer"""
    seen_rule: SeenRule | None
    """None: what was seen may come again"""
    user: str | None
    """whose history to read; None for sessions and for nobody"""
    past: Past = field(default_factory=Past)
    seen: set[int] = field(default_factory=set)
    """codes left out because the user met them; in `banned` too"""
    origin: str = "model"
    """model or popular: what scores the items"""
    status: str = "ok"
    fallback: str | None = None
    warnings: list[str] = field(default_factory=list)
    depth: int = 0
    """candidates to take from the top"""
    head: list[int] = field(default_factory=list)
    """codes that come first: found under the filter before it was lifted, or of an earlier answer"""
    relaxed: bool = False
    order: list[int] | None = None
    """codes of the best candidates as a language model orders them, empty where it does not; None: not asked yet"""
    explanations: dict[int, str] = field(default_factory=dict)
    """reasons in words, by code"""
    codes: list[int] = field(default_factory=list)
    """the list, once `done`"""
    scores: dict[int, float] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    """of codes that come from elsewhere than `origin`"""
    staged: Staged | None = None
    """what two stages made of it, the last time they were asked"""
    done: bool = False

    def warn(self, warning: str) -> None:
        """Adds a warning, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def degrade(self, warning: str) -> None:
        """Says that the list is not what it should have been."""
        self.status = "degraded"
        self.warn(warning)


def row_of(ask: Ask, request: Settled, view: View, masks: Masks, settings: ServeSettings, now: int, started: float) -> Row:
    """The request, settled already, checked and put into codes.

    Raises:
        RequestError: an id or the filter is no good; the request cannot be answered as asked.
    """
    try:
        gate, boosts = _masks_of(request, view, masks, now)
        whole = True
    except FilterError:
        request, whole = _usable(ask, request, view, masks), False
        gate, boosts = _masks_of(request, view, masks, now)
    excluded = {view.code(item) for item in (*request.exclude_item_ids, *ask.before)} - {None}
    user = None if request.user_id is None else checked(request.user_id, "user_id")
    row = Row(
        ask,
        request,
        gate,
        boosts,
        {},
        excluded,  # type: ignore[arg-type]
        (started if ask.arrived is None else ask.arrived)
        + (settings.deadline_ms if request.deadline_ms is None else request.deadline_ms) / 1000,
        request.exclude_seen,
        None if request.events is not None else user,
    )
    if not whole:
        row.degrade("scenario_rule_skipped")
    _pin(row, view, now)
    if request.events is not None:
        _read_session(row, request.events, view)
    return row


def _masks_of(request: Settled, view: View, masks: Masks, now: int) -> tuple[Gate, list[tuple[np.ndarray, float]]]:
    """What may come, and what is raised. Raises FilterError where the catalogue has no such property."""
    for name in request.max_per:
        view.stock.columns.column(name)
    gate = masks.gate_of(view, now, request.clauses, request.context)
    return gate, [(masks.matching_of(view, one.clause, request.context), one.weight) for one in request.boosts]


def _usable(ask: Ask, request: Settled, view: View, masks: Masks) -> Settled:
    """The request without those rules of its scenario that do not fit the catalogue any more: nobody asked for them in vain."""

    def fits(clause: Clause) -> bool:
        if not clause.scenario:
            return True
        try:
            masks.matching_of(view, clause, request.context)
        except FilterError:
            return False
        return True

    def there(name: str) -> bool:
        if name in ask.request.max_per:
            return True
        try:
            view.stock.columns.column(name)
        except FilterError:
            return False
        return True

    return replace(
        request,
        clauses=tuple(clause for clause in request.clauses if fits(clause)),
        boosts=tuple(one for one in request.boosts if fits(one.clause)),
        max_per={name: cap for name, cap in request.max_per.items() if there(name)},
    )


def _pin(row: Row, view: View, now: int) -> None:
    """Pins of this page that may be shown; they pass by filters and what was seen, as they do by scores."""
    _, may = view.open_at(now)
    for pin in row.request.pins:
        rank = pin.position - len(row.ask.before)
        if not 1 <= rank <= row.request.limit:
            continue
        code = view.code(pin.item_id)
        if code is None or not may[code] or code in row.banned:
            row.warn("pin_unavailable")
        elif rank not in row.pins:
            row.pins[rank] = code
            row.sources[code] = "pin"
            row.banned.add(code)


def _read_session(row: Row, events: Sequence[SessionEvent], view: View) -> None:
    """The history of a session is in the request."""
    rule = row.seen_rule
    for event in events:
        code = view.code(event.item_id)
        if code is None:
            row.warn("unknown_items")
            continue
        row.past.add(code, 0, 1.0)
        if rule is not None and (rule.types is None or event.type in rule.types):
            row.seen.add(code)
    row.banned |= row.seen
