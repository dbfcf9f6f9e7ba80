"""Rows: encoded features as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.features.encoded import Features


@dataclass(frozen=True, eq=False)
class Rows:
    """What a ranker reads: as many rows as were asked about, columns as in the schema's fields of each kind."""

    codes: Tensor
    """int32 (rows, categories): 0 missing, 1 unknown"""
    numbers: Tensor
    """float32 (rows, numbers): NaN where missing"""
    vectors: tuple[Tensor, ...]
    """float32 (rows, size) a vector field: NaN in a row without one"""
    bags: tuple[tuple[Tensor, Tensor], ...]
    """codes int32 (values,) and offsets int64 (rows + 1,) of each bag or sequence, in the order of the schema"""
    cells: tuple[Tensor | None, ...] = ()
    """int64 (rows,) of each bag whose rows share cells, which are then what its offsets are of; for rankers that say they read such rows"""

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, features: Features) -> Rows:
        """The same rows; arrays are shared, not copied, where they may be."""
        return cls(
            _tensor(features.codes),
            _tensor(features.numbers),
            tuple(map(_tensor, features.vectors)),
            tuple((_tensor(bag.codes), _tensor(bag.offsets)) for bag in features.bags),
            tuple(None if bag.cells is None else _tensor(bag.cells) for bag in features.bags),
        )

    def to(self, device: torch.device | str) -> Rows:
        """The same rows on another device."""
        return Rows(
            self.codes.to(device),
            self.numbers.to(device),
            tuple(vector.to(device) for vector in self.vectors),
            tuple((codes.to(device), offsets.to(device)) for codes, offsets in self.bags),
            tuple(None if cells is None else cells.to(device) for cells in self.cells),
        )


def _tensor(array: np.ndarray) -> Tensor:
    """The array's numbers; copied where they may not be written to, which torch cannot promise."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
