"""The item's side of rows: columns of the catalogue by place, encoded once for all rows that an item will ever be in.

A catalogue that changes is not encoded again: the places that changed are replaced, new ones are appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.features import columns
from tastemaker.data.features.config import FieldConfig
from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.infer import guess

HISTORY = "history"
"""The column of a request that holds items."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """A column of the catalogue by which items are compared with those of a history."""

    kind: Literal["categories", "number"]
    codes: np.ndarray
    """categories: int32 (values,), those of all places one after the other; number: float64 (places,), NaN where missing"""
    offsets: np.ndarray
    """categories: int64 (places + 1,)"""
    words: pa.Array | None = None
    """categories: the value of each code"""
    many: bool = False
    """categories: whether an item may have several"""
    separator: str | None = None
    """categories: what parts the values of a text"""

    @classmethod
    def of(cls, name: str, column: pa.Array, kind: str) -> Attribute:
        """The attribute that a column of the catalogue is."""
        if kind == "number":
            return cls("number", columns.numbers(column, name), np.zeros(1, np.int64))
        config = guess(name, column, FieldConfig.parse({}), 1).config
        many = config is not None and config.kind == "categories"
        blank = cls(
            "categories", np.zeros(0, np.int32), np.zeros(1, np.int64), None, many, config.separator if config else None
        )
        return blank.over(name, column)

    def over(self, name: str, column: pa.Array) -> Attribute:
        """The same attribute of other items; codes of values known here stay what they are."""
        if self.kind == "number":
            return replace(self, codes=columns.numbers(column, name))
        if self.many:
            flat, offsets = columns.lists(column, self.separator, name)
        else:
            ids = columns.ids(column)
            there = ids.is_valid().to_numpy(zero_copy_only=False)
            flat, offsets = ids.drop_null(), np.concatenate([[0], np.cumsum(there)]).astype(np.int64)
        words = pc.unique(flat)
        if self.words is not None:
            if self.words.type != flat.type:  # whole numbers among themselves are integers, among others texts
                flat, words = flat.cast(pa.large_string()), words.cast(pa.large_string())
            held = self.words.cast(words.type)
            words = pa.concat_arrays([held, words.filter(pc.invert(pc.is_in(words, held)))])
        codes = pc.index_in(flat, words).to_numpy(zero_copy_only=False).astype(np.int32)
        return replace(self, codes=codes, offsets=offsets, words=words)

    def put(self, name: str, order: np.ndarray, column: pa.Array) -> Attribute:
        """The attribute of the items at `order`, int64 (places,), of its own and then those of a column."""
        more = self.over(name, column)
        if self.kind == "number":
            return replace(self, codes=np.concatenate([self.codes, more.codes])[order])
        whole = _stacked(Bag(self.codes, self.offsets), Bag(more.codes, more.offsets)).take(order)
        return replace(more, codes=whole.codes, offsets=whole.offsets)


@dataclass(frozen=True, eq=False)
class ItemSide:
    """What items bring to rows, encoded, a row a place."""

    features: Features
    """the encoder's fields of the catalogue's columns"""
    columns: tuple[str, ...]
    events: Bag | None
    """the codes that an event with the item adds to the field "history", one or none; None without such a field"""
    attributes: Mapping[str, Attribute]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(cls, encoder: FeatureEncoder, catalogue: pa.Table, attributes: Mapping[str, Attribute]) -> ItemSide:
        """Encodes a catalogue: `item`, the ids, and `item.X`."""
        names = tuple(catalogue.column_names)
        return cls(encoder.only(names).encode(catalogue), names, _events(encoder, catalogue["item"]), attributes)

    def put(self, encoder: FeatureEncoder, places: np.ndarray, catalogue: pa.Table) -> ItemSide:
        """With items replaced or, at places from the end on, appended without a gap; `catalogue` holds them in order.

        Raises:
            DataError: a column does not hold what it is said to.
        """
        more = ItemSide.of(encoder, catalogue.select(self.columns), {})
        order = np.arange(max(len(self), int(places.max(initial=-1)) + 1))
        order[places] = len(self) + np.arange(len(places))
        mine, theirs = self.features, more.features
        features = Features(
            np.concatenate([mine.codes, theirs.codes])[order],
            np.concatenate([mine.numbers, theirs.numbers])[order],
            tuple(np.concatenate(pair)[order] for pair in zip(mine.vectors, theirs.vectors, strict=True)),
            tuple(_stacked(*pair).take(order) for pair in zip(mine.bags, theirs.bags, strict=True)),
        )
        events = None if self.events is None or more.events is None else _stacked(self.events, more.events).take(order)
        attributes = {
            name: one.put(name, order, columns.whole(catalogue[f"item.{name}"])) for name, one in self.attributes.items()
        }
        return ItemSide(features, self.columns, events, attributes)


def _events(encoder: FeatureEncoder, ids: pa.ChunkedArray) -> Bag | None:
    field = encoder.only([HISTORY])
    if not field.fields:
        return None
    ids = columns.whole(ids)
    alone = pa.LargeListArray.from_arrays(np.arange(len(ids) + 1), ids)
    return field.encode(pa.table({HISTORY: alone})).bags[0]


def _stacked(one: Bag, other: Bag) -> Bag:
    return Bag(np.concatenate([one.codes, other.codes]), np.concatenate([one.offsets, other.offsets[1:] + one.offsets[-1]]))
