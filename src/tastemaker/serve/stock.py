"""Stock: the catalogue in rows, as the store has it at one moment. It knows no model, so a model can be swapped without touching it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tastemaker.recommend.filters import Columns, parse
from tastemaker.store.base import Item, Page
from tastemaker.store.codec import from_cursor, to_cursor

NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, eq=False)
class Opening:
    """Which rows may be recommended, for as long as no window opens or closes."""

    mask: np.ndarray
    """bool (rows,)"""
    since: int
    until: int
    """µs: true from `since` to before `until`"""


@dataclass(frozen=True, eq=False)
class Stock:
    """Items in rows; row 0 is none. `rows` is shared with later stocks, which only append to it."""

    rows: dict[str, int]
    items: list[Item]
    """by row"""
    columns: Columns
    listed: np.ndarray
    """bool (rows,): neither hidden nor deleted"""
    deleted: np.ndarray
    """bool (rows,)"""
    opens: np.ndarray
    """int64 (rows,): µs, available from"""
    closes: np.ndarray
    """int64 (rows,): µs, no longer available from"""
    changed: np.ndarray
    """int64 (rows,): place of the row's last change among all changes; 0 where only an artifact knows the item"""
    puts: int = 0
    """how often anything was put"""
    put_by: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    """int64 (rows,): the put that a row comes from, from 1, so that whoever looks again knows what is new"""
    _opening: list[Opening] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def empty(cls) -> Stock:
        """No items."""
        columns = Columns.of([{}], fields=("item_id", "category"))
        none, zero = np.zeros(1, bool), np.zeros(1, np.int64)
        return cls({}, [Item("")], columns, none, none, zero, zero, zero)

    def parted(self) -> Stock:
        """The same items, for one who goes on alone: what is put here later is not known there, nor the other way round."""
        return replace(self, rows=dict(self.rows), _opening=[])

    def put(self, items: Sequence[Item], change: int) -> Stock:
        """With items inserted or replaced; `change` numbers the first of them. An item given twice is as given last."""
        rows, now = self.rows, self.items.copy()
        numbers: dict[int, int] = {}
        for place, item in enumerate(items):
            row = rows.get(item.item_id)
            if row is None:
                row = rows[item.item_id] = len(now)
                now.append(item)
            now[row] = item
            numbers[row] = change + place if change else int(self.changed[row]) if row < len(self) else 0
        old = len(self)
        fresh, held = range(old, len(now)), [row for row in numbers if row < old]
        columns = self.columns.extended([_cells(now[row]) for row in fresh]) if fresh else self.columns
        columns = columns.replaced({row: _cells(now[row]) for row in held}) if held else columns
        more = np.zeros(len(fresh), np.int64)
        result = replace(
            self,
            items=now,
            columns=columns,
            listed=np.concatenate([self.listed, more.astype(bool)]),
            deleted=np.concatenate([self.deleted, more.astype(bool)]),
            opens=np.concatenate([self.opens, more]),
            closes=np.concatenate([self.closes, more]),
            changed=np.concatenate([self.changed, more]),
            puts=self.puts + 1,
            put_by=np.concatenate([self.put_by, more]),
            _opening=[],
        )
        where = np.fromiter(numbers, np.int64, len(numbers))
        put = [now[row] for row in numbers]
        result.listed[where] = [not (item.hidden or item.deleted) for item in put]
        result.deleted[where] = [item.deleted for item in put]
        result.opens[where] = [0 if item.available_from is None else item.available_from for item in put]
        result.closes[where] = [NEVER if item.expires_at is None else item.expires_at for item in put]
        result.changed[where] = np.fromiter(numbers.values(), np.int64, len(numbers))
        result.put_by[where] = result.puts
        return result

    def page(self, filter: str, cursor: str | None, limit: int) -> Page[Item]:
        """Items of the store that a filter holds for, by item id, hidden ones included.

        Raises:
            FilterError: it does not parse, or does not fit the catalogue.
            RequestError: the cursor was not given here (400).
        """
        found = [self.items[row] for row in np.nonzero(parse(filter).mask(self.columns) & (self.changed > 0))[0].tolist()]
        after = "" if cursor is None else from_cursor(cursor, bytes)[0].decode(errors="replace")
        rest = (item for item in found if item.item_id > after and not item.deleted)
        rows = heapq.nsmallest(limit + 1, rest, key=lambda item: item.item_id)
        return Page(rows[:limit], to_cursor(rows[limit - 1].item_id.encode()) if len(rows) > limit else None)

    def open_at(self, now: int) -> Opening:
        """The rows that may be recommended at a time (µs)."""
        last = self._opening[-1] if self._opening else None
        if last is not None and last.since <= now < last.until:
            return last
        mask = self.listed & (self.opens <= now) & (now < self.closes)
        edges = np.concatenate([self.opens[self.listed], self.closes[self.listed]])
        since, until = edges[edges <= now].max(initial=0), edges[edges > now].min(initial=NEVER)
        opening = Opening(mask, int(since), int(until))
        self._opening[:] = [opening]
        return opening


def _cells(item: Item) -> Mapping[str, Any]:
    """What filters see of an item."""
    return {**item.properties, "item_id": item.item_id, "category": list(item.categories)}
