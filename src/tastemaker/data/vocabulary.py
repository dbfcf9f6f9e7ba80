"""Vocabulary: ids (the user's words) to codes (ours) and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.errors import DataError, UnknownIdError

PAD = 0
UNKNOWN = 1
FIRST = 2
"""The first code that stands for an id: code = place + FIRST, for ever."""


class Vocabulary:
    """An append-only list of distinct ids, all text or all 64-bit integers.

    Codes 0 (PAD) and 1 (UNKNOWN) are reserved; the id at place p has code p + 2, so an array indexed by code has `size` =
    `len(vocabulary)` + 2 rows.
    """

    def __init__(self, ids: pa.Array | Sequence[Any] | np.ndarray) -> None:
        self.ids = _as_ids(ids)
        if len(pc.unique(self.ids)) != len(self.ids):
            raise DataError("repeated ids", expected="distinct ids in a vocabulary")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} ids, {self.ids.type})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids.equals(other.ids)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def size(self) -> int:
        """Number of codes, PAD and UNKNOWN included: the height of an embedding table."""
        return len(self.ids) + FIRST

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over type and ids: two vocabularies with equal fingerprints give equal codes."""
        digest = hashlib.sha256(str(self.ids.type).encode())
        values = self.ids.cast(pa.large_string()) if pa.types.is_integer(self.ids.type) else self.ids
        for text in values.to_pylist():
            digest.update(text.encode())
            digest.update(b"\0")
        return digest.hexdigest()

    def encode(self, ids: pa.Array | Sequence[Any] | np.ndarray, *, strict: bool = False) -> np.ndarray:
        """Codes (int32) of ids; an unknown id becomes UNKNOWN, or raises UnknownIdError when `strict`."""
        values = _coerce(ids, self.ids.type)
        places = self._places(values)
        if strict and places.null_count:
            missing = _to_list(ids)[places.is_null().to_pylist().index(True)]
            raise UnknownIdError(
                f"unknown id {missing!r}",
                expected="an id seen in the data",
                hint=f"ids look like {', '.join(map(repr, self.ids[:3].to_pylist()))}",
            )
        codes = pc.add(places.cast(pa.int32()), pa.scalar(FIRST, pa.int32()))
        return pc.fill_null(codes, UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)

    def _places(self, values: pa.Array) -> pa.Array:
        if len(values) * 8 > len(self):
            return pc.index_in(values, self.ids)
        # A few ids among many: one scan against a small set, instead of hashing the whole vocabulary for each request.
        held = pc.indices_nonzero(pc.is_in(self.ids, pc.unique(values.drop_null())))
        return pc.take(held, pc.index_in(values, self.ids.take(held)))

    def decode(self, codes: np.ndarray | Sequence[int]) -> list[Any]:
        """Ids of codes; PAD and UNKNOWN decode to None."""
        places = np.asarray(codes, dtype=np.int64) - FIRST
        if places.size and places.max() >= len(self):
            raise UnknownIdError(
                f"code {int(places.max()) + FIRST}",
                expected=f"codes 0…{self.size - 1}",
                hint="these codes were made with another vocabulary",
            )
        return self.take(places).to_pylist()

    def take(self, places: np.ndarray) -> pa.Array:
        """Ids at places as Arrow; negative places give null."""
        return self.ids.take(pa.array(places, mask=places < 0))

    def grown(self, ids: pa.Array | Sequence[Any] | np.ndarray) -> Vocabulary:
        """A vocabulary with the ids not yet held appended, so that old codes stay what they are."""
        values = pc.unique(_coerce(ids, self.ids.type).drop_null())
        fresh = values.filter(pc.invert(pc.is_in(values, self.ids)))
        return Vocabulary(pa.concat_arrays([self.ids, fresh]))


def _to_list(ids: pa.Array | Sequence[Any] | np.ndarray) -> list[Any]:
    return ids.to_pylist() if isinstance(ids, pa.Array | pa.ChunkedArray) else list(ids)


def _as_ids(ids: pa.Array | Sequence[Any] | np.ndarray) -> pa.Array:
    array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_null(array.type):
        array = array.cast(pa.large_string())
    if pa.types.is_integer(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    else:
        raise DataError(f"ids of type {array.type}", expected="text or integer ids", hint="convert the id column")
    if array.null_count:
        raise DataError(f"{array.null_count} missing ids", expected="an id in every row")
    return array


def _coerce(ids: pa.Array | Sequence[Any] | np.ndarray, kind: pa.DataType) -> pa.Array:
    """Ids in the vocabulary's type; what cannot be read as such ("abc" among integers) becomes null, hence unknown."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if isinstance(ids, pa.Array) and ids.type == kind:
        return ids
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" and pa.types.is_integer(kind):
        return pa.array(ids.astype(np.int64))
    if pa.types.is_integer(kind):
        return pa.array([_integer(value) for value in _to_list(ids)], type=kind)
    return pa.array([None if value is None else str(value) for value in _to_list(ids)], type=kind)


def _integer(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
