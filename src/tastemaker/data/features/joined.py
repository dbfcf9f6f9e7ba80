"""Features joined from parts: rows of a table encoded once for many rows that share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.fitted import Cross


@dataclass(frozen=True, eq=False)
class Owner:
    """Encoded columns of one owner - items, requests, pairs - and its row for each row of the whole."""

    features: Features
    rows: np.ndarray | None
    """int64 (rows,); None: one for one"""
    columns: tuple[str, ...]

    @classmethod
    def of(cls, encoder: FeatureEncoder, table: pa.Table, rows: np.ndarray | None) -> Owner:
        """The fields of `encoder` that lie in a table, encoded."""
        return cls(encoder.only(table.column_names).encode(table), rows, tuple(table.column_names))


def joined(encoder: FeatureEncoder, owners: Sequence[Owner], *, sharing: Sequence[Owner] = ()) -> Features:
    """`encoder.encode` of the table that the owners' columns make up, crosses between them included.

    The many-valued cells of those in `sharing`, whose rows are ascending, stay shared by their rows.
    """
    flat: dict[str, np.ndarray] = {}
    bags: dict[str, Bag] = {}
    for owner in owners:
        share = any(owner is one for one in sharing)
        whole = owner.features if owner.rows is None else _spread(owner.features, owner.rows, share=share)
        columns = {"category": iter(whole.codes.T), "number": iter(whole.numbers.T), "vector": iter(whole.vectors)}
        ragged = iter(whole.bags)
        for field in encoder.only(owner.columns).fields:
            if field.schema.kind in columns:
                flat[field.name] = next(columns[field.schema.kind])
            else:
                bags[field.name] = next(ragged)
    for field in encoder.fields:
        if isinstance(field, Cross) and field.name not in flat:
            flat[field.name] = field.encode([flat[part] for part in field.parts])
    rows = next(len(owner.features) if owner.rows is None else len(owner.rows) for owner in owners)
    codes, numbers, vectors = (
        [flat[field.name] for field in encoder.fields if field.schema.kind == kind] for kind in ("category", "number", "vector")
    )
    return Features(
        np.stack(codes, axis=1) if codes else np.zeros((rows, 0), np.int32),
        np.stack(numbers, axis=1) if numbers else np.zeros((rows, 0), np.float32),
        tuple(vectors),
        tuple(bags[field.name] for field in encoder.fields if field.name in bags),
    )


def _spread(features: Features, rows: np.ndarray, *, share: bool) -> Features:
    if not share:
        return features.take(rows)
    bags = tuple(Bag(bag.codes, bag.offsets, rows) for bag in features.bags)
    return Features(features.codes[rows], features.numbers[rows], tuple(one[rows] for one in features.vectors), bags)
