"""Interactions: what users did, in codes, sorted once; Histories: the same as one ragged row a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class Histories:
    """Ragged rows, oldest event first, never padded: row r is `items[offsets[r]:offsets[r + 1]]`."""

    items: np.ndarray
    """int32 (events,)"""
    times: np.ndarray
    """int64 (events,), µs since 1970 UTC; 0 where the data has no times"""
    values: np.ndarray
    """float32 (events,): the explicit value, or 1"""
    offsets: np.ndarray
    """int64 (rows + 1,)"""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 (rows,)"""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """The items of one row (a view)."""
        return self.items[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: np.ndarray) -> Histories:
        """The given rows, in that order, repeats allowed."""
        rows = np.asarray(rows, dtype=np.int64)
        return self.slices(self.offsets[rows], self.offsets[rows + 1])

    def last(self, length: int) -> Histories:
        """The newest `length` events of each row."""
        ends = self.offsets[1:]
        return self.slices(np.maximum(self.offsets[:-1], ends - length), ends)

    def slices(self, starts: np.ndarray, ends: np.ndarray) -> Histories:
        """A row for each stretch of places `starts[r]:ends[r]`."""
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
        return Histories(self.items[places], self.times[places], self.values[places], offsets)

    def where(self, events: np.ndarray) -> Histories:
        """The events where a mask, bool (events,), holds; rows stay, and may be empty."""
        offsets = np.concatenate([[0], np.cumsum(events)])[self.offsets].astype(np.int64)
        return Histories(self.items[events], self.times[events], self.values[events], offsets)

    @classmethod
    def joined(cls, parts: Sequence[Histories]) -> Histories:
        """The rows of all parts, one part after the other."""
        ends = np.cumsum([0, *(part.offsets[-1] - part.offsets[0] for part in parts)])
        offsets = [part.offsets[1:] - part.offsets[0] + end for part, end in zip(parts, ends, strict=False)]
        flat = {
            name: np.concatenate([getattr(part, name)[part.offsets[0] : part.offsets[-1]] for part in parts])
            for name in ("items", "times", "values")
        }
        return cls(**flat, offsets=np.concatenate([[0], *offsets]).astype(np.int64))

    @classmethod
    def of(cls, rows: list[np.ndarray] | list[list[int]]) -> Histories:
        """Histories of item codes alone, for callers that bring their own."""
        lengths = [len(row) for row in rows]
        items = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows]) if sum(lengths) else np.zeros(0, np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        return cls(items, np.zeros(len(items), np.int64), np.ones(len(items), np.float32), offsets)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Rows (user, item, time, value, kind) in codes, sorted by user, then time, then place in the source, then item."""

    user: np.ndarray
    """int32 (rows,)"""
    item: np.ndarray
    """int32 (rows,)"""
    time: np.ndarray
    """int64 (rows,), µs since 1970 UTC; all 0 where the data has no times"""
    value: np.ndarray
    """float32 (rows,): the explicit value (a rating, seconds played), 1 where there is none"""
    kind: np.ndarray
    """int8 (rows,): place in `kinds`"""
    side: np.ndarray
    """int8 (rows,): which given file the row came from (see `splits`); -1 where none was given"""
    kinds: tuple[str, ...] = ("event",)
    kind_weights: tuple[float, ...] = (1.0,)
    review: pa.Array | None = None
    """string (rows,): what the user wrote about the item, "" for nothing; None where the data brings no reviews. Since it lies with the
    rows, whoever is handed the training side sees the reviews of the training side and no others."""

    def __len__(self) -> int:
        return len(self.user)

    @property
    def weight(self) -> np.ndarray:
        """float32 (rows,): the configured weight of each row's kind of behaviour."""
        return np.asarray(self.kind_weights, dtype=np.float32)[self.kind]

    @property
    def has_times(self) -> bool:
        """False when the data came without times: order is then the order of the source."""
        return bool(len(self)) and bool(self.time.any())

    def take(self, rows: np.ndarray) -> Interactions:
        """The rows where a boolean mask holds, or at ascending places: order is kept."""
        review = self.review
        if review is not None:
            mask = np.asarray(rows).dtype == bool
            review = review.filter(pa.array(rows)) if mask else review.take(pa.array(rows))
        return replace(self, **{name: getattr(self, name)[rows] for name in _columns}, review=review)

    def histories(self, num_users: int) -> Histories:
        """One row per user code (PAD and UNKNOWN included), `num_users` = `users.size`."""
        offsets = np.searchsorted(self.user, np.arange(num_users + 1)).astype(np.int64)
        return Histories(self.item, self.time, self.value, offsets)

    def matrix(self, num_users: int, num_items: int, *, weighted: bool = False) -> sp.csr_matrix:
        """Sparse float32 (num_users, num_items), a cell for each pair: 1, or the sum of kind weights when `weighted`."""
        cells = sp.csr_matrix((self.weight, (self.user, self.item)), shape=(num_users, num_items), dtype=np.float32)
        if not weighted:
            cells.data[:] = 1.0
        return cells


_columns = tuple(field.name for field in fields(Interactions) if field.name not in ("kinds", "kind_weights", "review"))
