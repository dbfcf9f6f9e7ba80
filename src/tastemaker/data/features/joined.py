"""Features joined from parts: rows of a table encoded once for many rows that share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.fitted import Cross


@dataclass(frozen=True, eq=False)
class Owner:
    """Encoded columns of one owner - items, requests, pairs - and its row for each row of the whole."""

    features: Features
    rows: np.ndarray | None
    """int64 (rows,); None: one for one"""
    share: bool = False
    """whether rows, which are ascending then, go on sharing its many-valued cells"""

    def spread(self) -> Features:
        """A row for each row of the whole."""
        if self.rows is None:
            return self.features
        if not self.share:
            return self.features.take(self.rows)
        given, rows = self.features, self.rows
        bags = tuple(Bag(bag.codes, bag.offsets, rows) for bag in given.bags)
        return Features(given.codes[rows], given.numbers[rows], tuple(one[rows] for one in given.vectors), bags)


class Joining:
    """How the columns of owners make up the fields of an encoder."""

    def __init__(self, encoder: FeatureEncoder, columns: Sequence[Sequence[str]]) -> None:
        """`columns` are those of each owner."""
        self.parts = [encoder.only(names) for names in columns]
        """what encodes each owner's"""
        fields = encoder.fields
        kinds = [_kind(field.schema.kind) for field in fields]
        order = {kind: [field.name for field, own in zip(fields, kinds, strict=True) if own == kind] for kind in set(kinds)}
        self._sizes = {kind: len(names) for kind, names in order.items()}
        self._places = [
            {
                kind: np.array(
                    [order[kind].index(field.name) for field in part.fields if _kind(field.schema.kind) == kind], np.int64
                )
                for kind in _KINDS
            }
            for part in self.parts
        ]
        held = {field.name for part in self.parts for field in part.fields}
        codes = order.get("category", [])
        self._crosses = [
            (codes.index(field.name), field, [codes.index(part) for part in field.parts])
            for field in fields
            if isinstance(field, Cross) and field.name not in held
        ]

    def joined(self, owners: Sequence[Owner], rows: int) -> Features:
        """`encode` of the table that the owners' columns make up, crosses between them included."""
        codes = np.zeros((rows, self._sizes.get("category", 0)), np.int32)
        numbers = np.zeros((rows, self._sizes.get("number", 0)), np.float32)
        vectors: list[np.ndarray] = [numbers] * self._sizes.get("vector", 0)
        bags: list[Bag] = [_NO_BAG] * self._sizes.get("bag", 0)
        for owner, places in zip(owners, self._places, strict=True):
            whole = owner.spread()
            codes[:, places["category"]] = whole.codes
            numbers[:, places["number"]] = whole.numbers
            for place, vector in zip(places["vector"].tolist(), whole.vectors, strict=True):
                vectors[place] = vector
            for place, bag in zip(places["bag"].tolist(), whole.bags, strict=True):
                bags[place] = bag
        for place, field, of in self._crosses:
            codes[:, place] = field.encode([codes[:, part] for part in of])
        return Features(codes, numbers, tuple(vectors), tuple(bags))


_KINDS = ("category", "number", "vector", "bag")
_NO_BAG = Bag(np.zeros(0, np.int32), np.zeros(1, np.int64))


def _kind(kind: str) -> str:
    return "bag" if kind == "sequence" else kind
