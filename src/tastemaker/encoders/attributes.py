"""Categories, lists of categories and numbers of a catalogue as one row of numbers: a place for each frequent value."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.features.config import FeaturesConfig, FieldConfig
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.interactions import Interactions
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.version import version_of
from tastemaker.errors import DataError
from tastemaker.log import logger
from tastemaker.nn.singular import right_singular_vectors
from tastemaker.settings import Settings


class Attributes(Encoder):
    """Columns of attributes; what each means is inferred as it is for rankers, or told in `fields`.

    | a column of | its places |
    |---|---|
    | categories, `number` in `buckets` | one for each value: 1 in that of the row's |
    | several categories | one for each value: 1/√n in those of the row's n |
    | numbers | the number, standardised by training (or its quantile: `scale`), 0 where missing; and 1 where it is missing |
    | vectors, times | theirs, of length about 1; 0 where missing |

    A value that is rare in the catalogue, or not in it, has no place. A row of which nothing is known is not there. With `dim` the
    rows become the first right singular vectors' products: values that occur together are near, and a vector is short.
    """

    reads: ClassVar[str] = "attributes"
    config: Config

    class Config(Settings):
        """Settings of `attributes`."""

        dim: int = Field(0, ge=0, description="axes of a truncated SVD; 0: none, a place for each value")
        min_count: int = Field(
            2, ge=1, description="items that must have a value for it to count; the default of every field's"
        )
        most: int = Field(256, ge=1, description="values of a column that count, the most frequent ones")
        fields: dict[str, FieldConfig] = Field(
            default_factory=dict, description="what columns are, by name, where that is not inferred: as in [features.fields]"
        )

    learned: Tensor
    """uint8: what the columns mean, as `FeatureEncoder` saves it; empty where nothing was learned"""
    axes: Tensor
    """float32 (places, dim): the right singular vectors; empty without an SVD"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_data_buffer("learned", torch.uint8)
        self.register_data_buffer("axes", ndim=2)
        self._encoder: FeatureEncoder | None = None

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        if not items.num_columns:
            raise DataError("no columns", expected="columns of attributes")
        self.learned = self.learned.new_zeros(0)
        self.forget()
        if all(column.null_count == len(column) for column in items.columns):
            return
        settings = FeaturesConfig.parse({"fields": self.config.fields, "min_count": self.config.min_count})
        found = FeatureEncoder.fit(items, settings)
        for note in found.notes:
            logger.info("attributes: %s", note)
        self.learned = torch.frombuffer(bytearray(found.to_bytes()), dtype=torch.uint8)
        if self.config.dim:
            cells, _ = self._cells(items)
            self.axes = torch.zeros(cells.shape[1], self.config.dim)
            axes = right_singular_vectors(cells, self.config.dim)
            self.axes[:, : axes.shape[1]] = torch.from_numpy(axes)

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        if not len(self.learned):
            return Vectors(np.zeros((len(items), self.config.dim), np.float32), np.zeros(len(items), bool))
        cells, present = self._cells(items)
        values = np.asarray(cells @ self.axes.numpy()) if self.config.dim else cells.toarray()
        return Vectors(values * present[:, None], present)

    def forget(self) -> None:
        super().forget()
        self._encoder = None

    @property
    def version(self) -> str:
        return version_of(self)

    def _cells(self, items: pa.Table) -> tuple[sp.csr_matrix, np.ndarray]:
        """float32 (rows, places), and of which rows anything is known."""
        if self._encoder is None:
            self._encoder = FeatureEncoder.of_bytes(self.learned.numpy().tobytes())
        features, rows = self._encoder.encode(items), np.arange(len(items))
        sizes = {field.name: min(field.size - FIRST, self.config.most) for field in self._encoder.schema}
        single = [field.name for field in self._encoder.schema if field.kind == "category"]
        several = [field.name for field in self._encoder.schema if field.kind in ("bag", "sequence")]
        parts = [_ones(rows, codes, sizes[name], len(items)) for name, codes in zip(single, features.codes.T, strict=True)]
        for name, bag in zip(several, features.bags, strict=True):
            ones = _ones(np.repeat(rows, np.diff(bag.offsets)), bag.codes, sizes[name], len(items))
            held = np.diff(ones.indptr)
            ones.data /= np.sqrt(np.repeat(held, held))
            parts.append(ones)
        known = np.any([np.diff(part.indptr) > 0 for part in parts], axis=0) if parts else np.zeros(len(items), bool)
        vectors = [vector / np.float32(vector.shape[1] ** 0.5) for vector in features.vectors]
        for numbers in (features.numbers, *vectors):
            there = ~np.isnan(numbers)
            known |= there.any(1)
            parts.append(sp.csr_matrix(np.where(there, numbers, 0)))
        parts.append(sp.csr_matrix(np.isnan(features.numbers).astype(np.float32)))
        return sp.csr_matrix(sp.hstack(parts)), known


def _ones(rows: np.ndarray, codes: np.ndarray, size: int, count: int) -> sp.csr_matrix:
    """float32 (count, size): 1 where a row has a value; values without a place are passed over."""
    kept = (codes >= FIRST) & (codes < FIRST + size)
    found = sp.csr_matrix((np.ones(int(kept.sum()), np.float32), (rows[kept], codes[kept] - FIRST)), shape=(count, size))
    found.sum_duplicates()
    found.data[:] = 1
    return found
