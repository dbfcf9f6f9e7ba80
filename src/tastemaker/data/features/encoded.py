"""Features: encoded rows, column by column of a kind, so that thousands of rows are a handful of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Bag:
    """Many-valued cells: row r holds the codes `codes[offsets[r]:offsets[r + 1]]`."""

    codes: np.ndarray
    """int32 (values,)"""
    offsets: np.ndarray
    """int64 (rows + 1,)"""

    def take(self, rows: np.ndarray) -> Bag:
        """The given rows, in that order, repeats allowed."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
        return Bag(self.codes[places], offsets)


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
