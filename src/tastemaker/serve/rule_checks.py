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
from tastemaker.wire.bodies import Properties
from tastemaker.wire.scenarios import Change, Checked, FilterMatch, Note, Rules

_NOTES = 200
"""Notes of a set of rules at most."""
_TITLES = ("title", "name", "product_name", "description", "headline", "image", "image_url")


def check(rules: Rules, desk: Desk, view: View, now: int) -> Checked:
    """How many items each filter of the rules holds for, what cannot hold, and what is to be said of pins and exclusions."""
    found = Checked(errors=[], notes=[], matches=[], items={})
    _, available = view.open_at(now)
    match: np.ndarray | None = None
    filters = [] if rules.filter is None else [("filter", rules.filter)]
    filters += [(f"boosts[{place}]", boost.filter) for place, boost in enumerate(rules.boosts)]
    for rule, text in filters:
        try:
            mask = desk.matching(view, Clause(text, rules.parameters), {})
        except FilterError as error:
            found.errors.append(Note(rule=rule, code=error.code, detail=str(error)))
            continue
        _count(found, rule, mask & available, int(available.sum()))
        match = mask if rule == "filter" else match
    for name in rules.max_per:
        try:
            view.stock.columns.column(name)
        except FilterError as error:
            found.errors.append(Note(rule="max_per", code=error.code, detail=str(error)))
    _pins(found, rules, view, available, match, now)
    for place, item_id in enumerate(rules.exclude_item_ids):
        if view.code(item_id) is None:
            _note(found, f"exclude_item_ids[{place}]", "unknown_item", "nothing is known of this item")
    if not found.errors:
        read = {name for _, text in filters for name in parse(text).parameters}
        for name in sorted(rules.parameters.keys() - read):
            _note(found, "parameters", "unused_parameter", f"no filter reads ${name[:80]}")
    for item_id in (*(pin.item_id for pin in rules.pins), *rules.exclude_item_ids):
        code = view.code(item_id)
        if code is not None:
            found.items[item_id] = titled(view, code)
    return found


def hold(checked: Checked) -> Checked:
    """The same, where all rules can hold. Raises RequestError (422) where one cannot, and says which."""
    if checked.errors:
        first = checked.errors[0]
        raise RequestError(f"{first.rule} of the rules: {first.detail}", code=first.code)
    return checked


def titled(view: View, code: int) -> Properties:
    """What a page shows of an item."""
    properties = view.item(code).properties
    return {name: properties[name] for name in _TITLES if name in properties}


def changes(before: Rules | None, after: Rules | None) -> list[Change]:
    """The rules that are others in two sets, in the order in which they are written down; None is no rules."""
    one, other = _told(before), _told(after)
    names = [field.encode_name for field in msgspec.structs.fields(Rules)]
    return [
        Change(rule=name, before=one.get(name), after=other.get(name)) for name in names if one.get(name) != other.get(name)
    ]


def _told(rules: Rules | None) -> dict[str, Any]:
    return {} if rules is None else dict(msgspec.to_builtins(rules))


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
