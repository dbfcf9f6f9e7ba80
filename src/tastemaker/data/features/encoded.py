"""Features: encoded rows, column by column of a kind, so that thousands of rows are a handful of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Bag:
    """Many-valued cells: cell c holds the codes `codes[offsets[c]:offsets[c + 1]]`; a row has one of its own, or shares one with others."""

    codes: np.ndarray
    """int32 (values,)"""
    offsets: np.ndarray
    """int64 (cells + 1,)"""
    cells: np.ndarray | None = None
    """int64 (rows,): the cell of each row, ascending; None: one a row"""

    def take(self, rows: np.ndarray) -> Bag:
        """The given rows, in that order, repeats allowed; each with a cell of its own."""
        if self.cells is not None:
            rows = self.cells[rows]
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
        return Bag(self.codes[places], offsets)

    def part(self, start: int, stop: int) -> Bag:
        """The rows from `start` to before `stop`; those that share a cell go on sharing it."""
        if self.cells is None:
            return self.take(np.arange(start, stop))
        cells = self.cells[start:stop]
        first, behind = (int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, 0)
        offsets = self.offsets[first : behind + 1]
        return Bag(self.codes[offsets[0] : offsets[-1]], offsets - offsets[0], cells - first)


@dataclass(frozen=True, eq=False)
class Features:
    """Rows as a ranker reads them; the order of columns is that of the schema's fields of each kind."""

    codes: np.ndarray
    """int32 (rows, categories): 0 where the value is missing, 1 where it is unknown"""
    numbers: np.ndarray
    """float32 (rows, numbers): NaN where the value is missing"""
    vectors: tuple[np.ndarray, ...] = ()
    """float32 (rows, dim) a vector field: NaN in a row without one"""
    bags: tuple[Bag, ...] = ()
    """a many-valued field each"""

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray) -> Features:
        """The given rows, in that order, repeats allowed."""
        return Features(
            self.codes[rows],
            self.numbers[rows],
            tuple(vector[rows] for vector in self.vectors),
            tuple(bag.take(rows) for bag in self.bags),
        )

    def part(self, start: int, stop: int) -> Features:
        """The rows from `start` to before `stop`; nothing is copied but bags that are not shared."""
        if start == 0 and stop >= len(self):
            return self
        return Features(
            self.codes[start:stop],
            self.numbers[start:stop],
            tuple(vector[start:stop] for vector in self.vectors),
            tuple(bag.part(start, min(stop, len(self))) for bag in self.bags),
        )

    def plain(self) -> Features:
        """The same rows, each with cells of its own."""
        if all(bag.cells is None for bag in self.bags):
            return self
        bags = tuple(bag if bag.cells is None else bag.take(np.arange(len(self))) for bag in self.bags)
        return Features(self.codes, self.numbers, self.vectors, bags)
