"""Why items are like an item, as far as that can be seen: who met both, what they are, what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tastemaker.data.contents import scalar_of
from tastemaker.serve import company
from tastemaker.serve.browse.segment import NAMES
from tastemaker.serve.browse.words import words_of
from tastemaker.serve.view import View
from tastemaker.store.base import Item, Store
from tastemaker.wire.bodies import Because

_USERS = 200
"""Users of an item that are looked at, those of its newest events."""
_FAINT = 0.1
"""Contents that have less in common are no reason."""


def met_together(store: Store, item_id: str, view: View) -> tuple[Counter[int], int]:
    """Of the users who met an item of late: how many met each other item too, by code; and how many there are."""
    users = company.nearest(company.met_by(store, [item_id]), _USERS)
    together: Counter[int] = Counter()
    for history in store.histories(users, company.HISTORY) if users else []:
        together.update(company.distinct(history, view))
    return together, len(users)


def reasons(view: View, code: int, others: Sequence[int], together: Counter[int], users: int) -> list[list[Because]]:
    """Reasons of each of the others, the strongest evidence first; none where none is to be seen."""
    item, terms = view.item(code), _terms(view.item(code))
    found = []
    for other in others:
        it, why = view.item(other), list[Because]()
        if together[other]:
            why.append(Because(kind="met_together", users=together[other], of=users))
        if shared := [category for category in item.categories if category in it.categories]:
            why.append(Because(kind="same_category", category=shared[0]))
        theirs = _terms(it)
        common = len(terms & theirs) / max(1, len(terms | theirs))
        if common >= _FAINT:
            why.append(Because(kind="like_contents", weight=round(common, 4)))
        found.append(why)
    return found


def _terms(item: Item) -> set[tuple[str, object]]:
    """The words of an item's names and description, and its other properties' values."""
    terms: set[tuple[str, object]] = set()
    for name, value in item.properties.items():
        if name in NAMES:
            terms |= {("", word) for word in words_of(str(value))}
        else:
            members = value if isinstance(value, list | tuple) else [value]
            terms |= {(name, scalar) for member in members if (scalar := scalar_of(member)) is not None}
    return terms
