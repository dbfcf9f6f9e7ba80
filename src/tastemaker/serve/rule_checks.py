"""Rules held against the catalogue as it is now: what cannot hold is refused, what is odd is noted."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from tastemaker.errors import FilterError, RequestError
from tastemaker.recommend.filters import parse
from tastemaker.serve.desk import Desk
from tastemaker.serve.rules import Clause
from tastemaker.serve.view import View
from tastemaker.wire.scenarios import Change, Checked, FilterMatch, Note, Rules

_NOTES = 200
"""Notes of a set of rules at most."""


def check(rules: Rules, desk: Desk, view: View, now: int) -> Checked:
    """How many items each filter of the rules holds for, and what is to be said of pins and exclusions.

    Raises:
        RequestError: a filter does not parse, lacks a parameter or names a property that no item has; says which (422).
    """
    found = Checked(notes=[], matches=[])
    _, available = view.open_at(now)
    most = int(available.sum())
    match: np.ndarray | None = None
    if rules.filter is not None:
        match = _matching(rules, "filter", rules.filter, desk, view)
        _count(found, "filter", match & available, most)
    for place, boost in enumerate(rules.boosts):
        _count(found, f"boosts[{place}]", _matching(rules, f"boosts[{place}]", boost.filter, desk, view) & available, most)
    for name in rules.max_per:
        try:
            view.stock.columns.column(name)
        except FilterError as error:
            raise _refused("max_per", error) from None
    _pins(found, rules, view, available, match, now)
    for place, item_id in enumerate(rules.exclude_item_ids):
        if view.code(item_id) is None:
            _note(found, f"exclude_item_ids[{place}]", "unknown_item", "nothing is known of this item")
    read = {
        name for text in (rules.filter, *(boost.filter for boost in rules.boosts)) if text for name in parse(text).parameters
    }
    for name in sorted(rules.parameters.keys() - read):
        _note(found, "parameters", "unused_parameter", f"no filter reads ${name[:80]}")
    return found


def changes(before: Rules | None, after: Rules | None) -> list[Change]:
    """The rules that are others in two sets, in the order in which they are written down; None is no rules."""
    one, other = _told(before), _told(after)
    names = [field.encode_name for field in msgspec.structs.fields(Rules)]
    return [
        Change(rule=name, before=one.get(name), after=other.get(name)) for name in names if one.get(name) != other.get(name)
    ]


def _told(rules: Rules | None) -> dict[str, Any]:
    return {} if rules is None else dict(msgspec.to_builtins(rules))


def _matching(rules: Rules, rule: str, text: str, desk: Desk, view: View) -> np.ndarray:
    try:
        return desk.matching(view, Clause(text, rules.parameters), {})
    except FilterError as error:
        raise _refused(rule, error) from None


def _refused(rule: str, error: FilterError) -> RequestError:
    return RequestError(f"{error.found} in {rule}", code=error.code, expected=error.expected, hint=error.hint)


def _count(found: Checked, rule: str, match: np.ndarray, most: int) -> None:
    count = int(match.sum())
    found.matches.append(FilterMatch(rule=rule, matches=count, available=most))
    if not count:
        _note(found, rule, "matches_nothing", "no item that may be shown now matches; values of context count as unknown here")


def _pins(found: Checked, rules: Rules, view: View, available: np.ndarray, match: np.ndarray | None, now: int) -> None:
    places: set[int] = set()
    met: set[str] = set()
    for place, pin in enumerate(rules.pins):
        rule, code = f"pins[{place}]", view.code(pin.item_id)
        if code is None:
            _note(found, rule, "unknown_item", "nothing is known of this item, so it is not shown")
        elif not available[code]:
            _note(found, rule, *unavailable(view, code, now))
        elif match is not None and not match[code]:
            _note(found, rule, "filtered", "the filter leaves this item out, but a pin passes by it")
        if pin.item_id in rules.exclude_item_ids:
            _note(found, rule, "excluded", "the same rules exclude this item, so it is not shown")
        if pin.position in places or pin.item_id in met:
            _note(found, rule, "pinned_twice", "its position or its item is taken by a pin before it")
        places.add(pin.position)
        met.add(pin.item_id)


def unavailable(view: View, code: int, now: int) -> tuple[str, str]:
    """Why an item may not be shown: a code, and a text."""
    item = view.item(code)
    if item.deleted:
        return "deleted", "the item is deleted from the catalogue, so it is not shown"
    if item.hidden:
        return "hidden", "the item is hidden, so it is not shown"
    if item.available_from is not None and item.available_from > now:
        return "not_yet_available", "the item is not available yet"
    return "expired", "the item is not available any more"


def _note(found: Checked, rule: str, code: str, detail: str) -> None:
    if len(found.notes) < _NOTES:
        found.notes.append(Note(rule=rule, code=code, detail=detail))
