"""A list column of vectors that were made elsewhere, checked and brought to one scale."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.features.columns import is_list
from tastemaker.data.interactions import Interactions
from tastemaker.data.media.cells import only_column
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.version import version_of
from tastemaker.errors import DataError
from tastemaker.settings import Settings


class ReadyVectors(Encoder):
    """Lists of as many numbers in every row, as another program made them (an embedding service, a network of your own).

    A list of another length than most in training, one with a number that is missing or not finite, and one of zeros alone are
    counted rejects; an empty list is nothing.
    """

    reads: ClassVar[str] = "vector"
    config: Config

    class Config(Settings):
        """Settings of `vector`."""

        dim: int = Field(0, ge=0, description="numbers a list must have; 0: as many as most lists of the catalogue have")
        scale: Literal["size", "unit", "standard", "none"] = Field(
            "size",
            description="size: divided by one number, so that the mean square length is 1; unit: each of length 1; "
            "standard: each place of mean 0 and deviation 1; none: as they are",
        )

    length: Tensor
    """int64 (): numbers a list must have; 0 where none has been seen"""
    mean: Tensor
    """float32 (length,), subtracted"""
    deviation: Tensor
    """float32 (length,), divided by"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("length", torch.tensor(config.dim))
        self.register_data_buffer("mean")
        self.register_data_buffer("deviation")
        self._learn(np.zeros((0, config.dim), np.float32))

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        lengths, values = _unpacked(items)
        length = self.config.dim
        if not length and lengths.any():
            length = int(np.bincount(lengths[lengths > 0]).argmax())
        self.length = torch.tensor(length)
        rows, _ = _usable(lengths, values, length)
        self._learn(rows[np.isfinite(rows).all(1)])

    def _learn(self, rows: np.ndarray) -> None:
        """Takes the scale of rows that are whole; leaves things as they are where there are none."""
        length = int(self.length)
        mean, deviation = np.zeros(length), np.ones(length)
        if len(rows) and self.config.scale == "standard":
            mean, deviation = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
        elif len(rows) and self.config.scale == "size":
            deviation[:] = np.sqrt(np.square(rows, dtype=np.float64).sum(1).mean())
        deviation[~(deviation > 0)] = 1
        self.mean, self.deviation = (torch.from_numpy(one.astype(np.float32)) for one in (mean, deviation))

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        lengths, held = _unpacked(items)
        rows, at = _usable(lengths, held, int(self.length))
        some, whole = rows.any(1), np.isfinite(rows).all(1)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite less infinite
            rows = (rows - self.mean.numpy()) / self.deviation.numpy()
        if self.config.scale == "unit":
            peak = np.abs(rows).max(axis=1, keepdims=True, initial=0)  # squares of small numbers are 0, of large ones infinite
            rows = rows / np.where(peak > 0, peak, 1)
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
        finite = whole & np.isfinite(rows).all(1)
        rejects = {
            "another number of numbers": int((lengths > 0).sum()) - len(rows),
            "a number that is missing or not finite": int((~finite).sum()),
            "zeros alone": int((~some).sum()),
        }
        values, present = np.zeros((len(lengths), int(self.length)), np.float32), np.zeros(len(lengths), bool)
        kept = finite & some
        values[at[kept]], present[at[kept]] = rows[kept], True
        return Vectors(values, present, {reason: count for reason, count in rejects.items() if count})

    @property
    def version(self) -> str:
        return version_of(self)


def _unpacked(items: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """int64 (rows,), how many numbers each list has, and all of them one after the other, float32.

    Raises:
        DataError: not one column, or not of lists of numbers.
    """
    column = only_column(items, "vectors")
    kind = column.type
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.int64), np.zeros(0, np.float32)
    inner = kind.value_type if is_list(kind) else None
    if inner is None or not (pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner)):
        raise DataError(f"column {items.column_names[0]!r} of type {kind}", expected="lists of numbers")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    numbers = pc.list_flatten(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # beyond float32 is not finite either
        return lengths, numbers.astype(np.float32)


def _usable(lengths: np.ndarray, numbers: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The lists of the right length, float32 (n, length), and the row of each."""
    at = np.flatnonzero((lengths == length) & (lengths > 0))
    starts = np.cumsum(lengths)[at] - lengths[at]
    return numbers[starts[:, None] + np.arange(length)], at
