"""Fields with what they learned from training rows: each turns a column into codes or numbers, the same way offline and online."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.features import columns
from tastemaker.data.features.config import FieldConfig
from tastemaker.data.features.encoded import Bag
from tastemaker.data.schema import FieldSchema
from tastemaker.data.vocabulary import FIRST, PAD, UNKNOWN, Vocabulary
from tastemaker.errors import DataError

_FARTHEST = 8.0
"""Deviations from the mean beyond which a number is cut off, so that one outlier moves nothing."""
_DAY = 86_400e6
_CIRCLES = (_DAY, 7 * _DAY, 365.2425 * _DAY)
_QUANTILES = 1_000
_FEW = 64
"""Rows up to which looking words up one by one is faster than asking Arrow for all."""


def learned_vocabulary(values: pa.Array, min_count: int) -> Vocabulary:
    """The values seen `min_count` times or more, the most frequent first, ties in their own order."""
    counts = pc.value_counts(values.drop_null())
    table = pa.table({"id": counts.field("values"), "count": counts.field("counts")})
    table = table.filter(pc.greater_equal(table["count"], min_count))
    order = pc.sort_indices(table, [("count", "descending"), ("id", "ascending")])
    return Vocabulary(table["id"].take(order))


@dataclass(frozen=True, eq=False)
class Category:
    """One of many: code 0 where missing, 1 where unknown."""

    kind: ClassVar[str] = "category"
    name: str
    vocabulary: Vocabulary

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.vocabulary.ids.to_pylist(), FIRST)}

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig) -> Category:
        return cls(name, learned_vocabulary(columns.ids(column), config.min_count))

    def encode(self, column: pa.Array) -> np.ndarray:
        """int32 (rows,)"""
        if len(column) <= _FEW and columns.is_text(column.type) and pa.types.is_large_string(self.vocabulary.ids.type):
            held = self._places
            return np.array([held.get(word, UNKNOWN) if word else PAD for word in column.to_pylist()], np.int32)
        values = columns.ids(column)
        codes = self.vocabulary.encode(values)
        if values.null_count:
            codes = np.where(values.is_null().to_numpy(zero_copy_only=False), np.int32(PAD), codes)
        return codes

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "category", self.vocabulary.size)

    def state(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Many:
    """Several of many, in no order ("categories") or oldest first ("sequence")."""

    kind: ClassVar[str] = "many"
    name: str
    vocabulary: Vocabulary
    separator: str | None
    max_length: int
    ordered: bool
    shares: str | None

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig, shared: Vocabulary | None) -> Many:
        values, _ = columns.lists(column, config.separator, name)
        vocabulary = shared if shared is not None else learned_vocabulary(values, config.min_count)
        return cls(name, vocabulary, config.separator, config.max_length, config.kind == "sequence", config.shares)

    def encode(self, column: pa.Array) -> Bag:
        values, offsets = columns.lists(column, self.separator, self.name)
        return self.cut(self.vocabulary.encode(values), offsets)

    def cut(self, codes: np.ndarray, offsets: np.ndarray) -> Bag:
        """The values of each row that are read: the newest, or the first, `max_length`."""
        lengths = np.diff(offsets)
        if lengths.max(initial=0) > self.max_length:
            kept = np.minimum(lengths, self.max_length)
            starts = offsets[1:] - kept if self.ordered else offsets[:-1]
            ends = np.cumsum(kept)
            codes = codes[np.arange(ends[-1]) + np.repeat(starts - (ends - kept), kept)]
            offsets = np.concatenate([[0], ends])
        return Bag(codes, offsets)

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "sequence" if self.ordered else "bag", self.vocabulary.size, self.shares)

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("separator", "max_length", "ordered", "shares")}


@dataclass(frozen=True, eq=False)
class Number:
    """A number, brought to a scale: (scaled - mean) / deviation, cut off at ± 8; NaN where missing."""

    kind: ClassVar[str] = "number"
    name: str
    scale: str
    mean: float
    deviation: float
    edges: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """of the scale quantile: ascending training quantiles"""

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig) -> Number:
        values = columns.numbers(column, name)
        values = values[~np.isnan(values)]
        edges = (
            np.quantile(values, np.linspace(0, 1, _QUANTILES)) if config.scale == "quantile" and len(values) else np.zeros(0)
        )
        fresh = cls(name, config.scale, 0.0, 1.0, edges)
        if config.scale == "none" or not len(values):
            return fresh
        scaled = fresh._scaled(values)
        return cls(name, config.scale, float(scaled.mean()), float(scaled.std()) or 1.0, edges)

    def encode(self, column: pa.Array | np.ndarray) -> np.ndarray:
        """float32 (rows,)"""
        values = self._scaled(columns.numbers(column, self.name))
        if self.scale != "none":
            values = np.clip((values - self.mean) / self.deviation, -_FARTHEST, _FARTHEST)
        return values.astype(np.float32)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.scale == "log":
            return np.sign(values) * np.log1p(np.abs(values))
        if self.scale == "quantile" and len(self.edges):
            below, upto = (np.searchsorted(self.edges, values, side) for side in ("left", "right"))
            return np.where(np.isnan(values), np.nan, (below + upto) / (2 * len(self.edges)))
        return values

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "number", 1)

    def state(self) -> dict[str, Any]:
        return {"scale": self.scale, "mean": self.mean, "deviation": self.deviation, "edges": self.edges.tolist()}


class Numbers:
    """Several numbers, encoded together: what `Number.encode` says of each."""

    def __init__(self, fields: Sequence[Number]) -> None:
        self._fields = fields
        self.names = tuple(field.name for field in fields)
        self._logarithms = np.array([place for place, field in enumerate(fields) if field.scale == "log"], np.int64)
        self._alone = [place for place, field in enumerate(fields) if field.scale == "quantile"]
        self._mean, self._deviation = (np.array([getattr(field, name) for field in fields]) for name in ("mean", "deviation"))
        self._farthest = np.array([np.inf if field.scale == "none" else _FARTHEST for field in fields])

    def encode(self, columns_: Sequence[pa.Array | np.ndarray]) -> np.ndarray:
        """float32 (rows, fields)"""
        found = [
            one if isinstance(one, np.ndarray) else columns.numbers(one, name)
            for one, name in zip(columns_, self.names, strict=True)
        ]
        values = np.stack(found, axis=1).astype(np.float64, copy=False)
        values[~np.isfinite(values)] = np.nan
        if len(self._logarithms):
            some = values[:, self._logarithms]
            values[:, self._logarithms] = np.sign(some) * np.log1p(np.abs(some))
        for place in self._alone:
            values[:, place] = self._fields[place]._scaled(values[:, place])
        return np.clip((values - self._mean) / self._deviation, -self._farthest, self._farthest).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Buckets:
    """A number as a category: the range it lies in, of ranges that are equally full in training."""

    kind: ClassVar[str] = "buckets"
    name: str
    edges: np.ndarray
    """ascending, distinct: range r ends at edge r"""

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig) -> Buckets:
        values = columns.numbers(column, name)
        values = values[~np.isnan(values)]
        edges = np.unique(np.quantile(values, np.arange(1, config.buckets) / config.buckets)) if len(values) else np.zeros(0)
        return cls(name, edges)

    def encode(self, column: pa.Array | np.ndarray) -> np.ndarray:
        """int32 (rows,)"""
        values = columns.numbers(column, self.name)
        return np.where(np.isnan(values), PAD, np.searchsorted(self.edges, values, "left") + FIRST).astype(np.int32)

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "category", len(self.edges) + 1 + FIRST)

    def state(self) -> dict[str, Any]:
        return {"edges": self.edges.tolist()}


@dataclass(frozen=True, eq=False)
class Vector:
    """As many numbers in every row, divided by their root mean square in training, and cut off far beyond it; NaN in a row without one."""

    kind: ClassVar[str] = "vector"
    name: str
    size: int
    scale: float

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig) -> Vector:
        lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
        if len(lengths) != 1:
            raise DataError(f"column {name!r}: lists of {sorted(lengths)} numbers", expected="as many in every row of a vector")
        values = cls(name, lengths[0], 1.0)._filled(column)
        return cls(name, lengths[0], float(np.sqrt(np.nanmean(np.square(values)))) or 1.0)

    def encode(self, column: pa.Array) -> np.ndarray:
        """float32 (rows, size)"""
        farthest = _FARTHEST * self.size**0.5  # as far as a vector goes whose numbers are all 0 but one
        return np.clip(self._filled(column) / self.scale, -farthest, farthest).astype(np.float32)

    def _filled(self, column: pa.Array) -> np.ndarray:
        """float64 (rows, size)"""
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        if wrong := set(np.unique(lengths).tolist()) - {0, self.size}:
            raise DataError(f"column {self.name!r}: lists of {min(wrong)} numbers", expected=f"{self.size} numbers a row")
        found = np.full((len(lengths), self.size), np.nan)
        found[lengths > 0] = columns.numbers(pc.list_flatten(column), self.name).reshape(-1, self.size)
        return found

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "vector", self.size)

    def state(self) -> dict[str, Any]:
        return {"size": self.size, "scale": self.scale}


@dataclass(frozen=True, eq=False)
class Time:
    """A time as points on three circles, the day, the week and the year (UTC): sine and cosine of each; NaN where missing."""

    kind: ClassVar[str] = "time"
    name: str

    @classmethod
    def fit(cls, name: str, column: pa.Array, config: FieldConfig) -> Time:
        columns.microseconds(column, name)
        return cls(name)

    def encode(self, column: pa.Array) -> np.ndarray:
        """float32 (rows, 6)"""
        times = columns.microseconds(column, self.name)
        angles = 2 * np.pi * np.stack([np.mod(times, circle) / circle for circle in _CIRCLES], axis=1)
        return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(times), -1).astype(np.float32)

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "vector", 2 * len(_CIRCLES))

    def state(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Cross:
    """Combinations of category fields, each a category of its own; missing where a part is."""

    kind: ClassVar[str] = "cross"
    name: str
    parts: tuple[str, ...]
    sizes: tuple[int, ...]
    vocabulary: Vocabulary

    @classmethod
    def fit(cls, parts: tuple[str, ...], sizes: tuple[int, ...], codes: list[np.ndarray], min_count: int) -> Cross:
        if np.prod(np.array(sizes, dtype=np.float64)) > 2**62:
            raise DataError(f"a cross of {', '.join(parts)} has more than 2^62 combinations", hint="cross fewer columns")
        fresh = cls(" × ".join(parts), parts, sizes, Vocabulary(np.zeros(0, np.int64)))
        return cls(fresh.name, parts, sizes, learned_vocabulary(fresh._keys(codes), min_count))

    def encode(self, codes: list[np.ndarray]) -> np.ndarray:
        """int32 (rows,) from the codes of the parts, int32 (rows,) each"""
        keys = self._keys(codes)
        found = self.vocabulary.encode(keys)
        return np.where(keys.is_null().to_numpy(zero_copy_only=False), np.int32(PAD), found)

    def _keys(self, codes: list[np.ndarray]) -> pa.Array:
        keys = np.zeros(len(codes[0]), np.int64)
        for size, part in zip(self.sizes, codes, strict=True):
            keys = keys * size + part
        return pa.array(keys, mask=np.any([part == PAD for part in codes], axis=0))

    @property
    def schema(self) -> FieldSchema:
        return FieldSchema(self.name, "category", self.vocabulary.size, parts=self.parts)

    def state(self) -> dict[str, Any]:
        return {"parts": list(self.parts), "sizes": list(self.sizes)}


Field = Category | Many | Number | Buckets | Vector | Time | Cross


def restored(kind: str, name: str, state: dict[str, Any], vocabulary: Vocabulary) -> Field:
    """The field that said so of itself."""
    if kind == "category":
        return Category(name, vocabulary)
    if kind == "many":
        return Many(name, vocabulary, **state)
    if kind == "number":
        return Number(name, state["scale"], state["mean"], state["deviation"], np.array(state["edges"], dtype=np.float64))
    if kind == "buckets":
        return Buckets(name, np.array(state["edges"], dtype=np.float64))
    if kind == "vector":
        return Vector(name, **state)
    if kind == "time":
        return Time(name)
    return Cross(name, tuple(state["parts"]), tuple(state["sizes"]), vocabulary)
