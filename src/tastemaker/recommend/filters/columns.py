"""Columns: the properties of all items, laid out so that a condition on 100,000 of them is a few vector operations."""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from tastemaker.data.contents import Scalar, scalar_of
from tastemaker.recommend.filters.grammar import refused

MAX_FIELDS = 256
"""Properties that become columns; of a catalogue with more, those met first."""

MISSING, NUMBER, LIST, FALSE, TRUE = range(5)
"""Codes of a cell that are no word: nothing, a number (see `Column.numbers`), a list (see `Column.tokens`), a flag."""

_ALIASES = {"category": "categories", "categories": "category"}
_KEPT_TABLES = 32


class Labels(NamedTuple):
    """Labels of items, ragged: those of the item at place p are `values[offsets[p]:offsets[p + 1]]`."""

    offsets: np.ndarray
    """int64 (items + 1,)"""
    values: np.ndarray
    """int64, equal where the labels are"""


class Words:
    """The distinct texts, flags and list elements of one property, numbered as they come; only ever added to.

    Shared by all versions of a column: an older one merely holds none of the later codes. Words that are no longer in use stay
    until the columns are made anew.
    """

    def __init__(self) -> None:
        self.values: list[Scalar | None] = [None, None, None, False, True]
        self._codes: dict[str | float, int] = {}
        self._tables: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.values)

    def code(self, value: Scalar) -> int | None:
        """The code of a word, None where no item has it."""
        return FALSE + value if isinstance(value, bool) else self._codes.get(value)

    def encode(self, value: Scalar) -> int:
        """The code of a word, which is added where it is new."""
        code = self.code(value)
        if code is None:
            with self._lock:
                code = self._codes.get(value)
                if code is None:
                    code = len(self.values)
                    self.values.append(value)
                    self._codes[value] = code
        return code

    def encode_all(self, texts: Sequence[str]) -> np.ndarray:
        """The codes of many texts, int32; new ones are added in the order they come."""
        codes = self._codes
        with self._lock:
            for text in dict.fromkeys(texts):
                if text not in codes:
                    self.values.append(text)
                    codes[text] = len(self.values) - 1
        return np.fromiter(map(codes.__getitem__, texts), np.int32, len(texts))

    def table(self, key: Any, test: Callable[[Any], bool | None]) -> tuple[np.ndarray, np.ndarray]:
        """Of which words `test` is True and of which False, bool by code; kept under `key` for the next to ask."""
        true, false = self._tables.get(key, (np.zeros(FALSE, bool), np.zeros(FALSE, bool)))
        size = len(self.values)
        if len(true) < size:
            verdicts = [test(value) for value in self.values[len(true) : size]]
            true = np.concatenate([true, [verdict is True for verdict in verdicts]])
            false = np.concatenate([false, [verdict is False for verdict in verdicts]])
            if len(self._tables) >= _KEPT_TABLES:
                self._tables = {}
            self._tables[key] = (true, false)
        return true, false


@dataclass(frozen=True, eq=False)
class Column:
    """One property of all items. A cell is missing, a number, a flag, a text, or a list of these."""

    words: Words
    codes: np.ndarray
    """int32 (items,): a word, or one of the codes above"""
    numbers: np.ndarray
    """float64 (items,): NaN where the cell is no number"""
    offsets: np.ndarray
    """int64 (items + 1,): the list of the item at place p is `tokens[offsets[p]:offsets[p + 1]]`"""
    tokens: np.ndarray
    """int32: words, distinct within a list"""

    @classmethod
    def empty(cls, size: int) -> Column:
        """A column in which every cell is missing."""
        return cls(
            Words(), np.zeros(size, np.int32), np.full(size, np.nan), np.zeros(size + 1, np.int64), np.zeros(0, np.int32)
        )

    @classmethod
    def of(cls, values: Sequence[Any]) -> Column:
        """A column of the given cells."""
        return cls.empty(len(values)).changed(len(values), np.zeros(0, np.int64), range(len(values)), values)

    def changed(self, size: int, cleared: np.ndarray, places: Sequence[int], values: Iterable[Any]) -> Column:
        """A column of `size` items with the cells at `cleared` missing, then those at `places` (ascending) set."""
        old = len(self.codes)
        codes = np.concatenate([self.codes, np.zeros(size - old, np.int32)])
        numbers = np.concatenate([self.numbers, np.full(size - old, np.nan)])
        codes[cleared], numbers[cleared] = MISSING, np.nan
        at = np.asarray(places, dtype=np.int64)
        codes[at], numbers[at], counts, added = self._encoded(list(values))
        if not len(added) and not len(self.tokens):
            return Column(self.words, codes, numbers, np.zeros(size + 1, np.int64), self.tokens)
        lengths = np.concatenate([np.diff(self.offsets), np.zeros(size - old, np.int64)])
        stays = np.ones(size, bool)
        stays[cleared] = stays[at] = False
        kept = self.tokens[np.repeat(stays[:old], lengths[:old])]
        lengths[~stays] = 0
        lengths[at] = counts
        from_old = np.repeat(stays, lengths)
        tokens = np.empty(len(from_old), np.int32)
        tokens[from_old] = kept
        tokens[~from_old] = added
        return Column(self.words, codes, numbers, np.concatenate([[0], np.cumsum(lengths)]), tokens)

    def _encoded(self, values: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each cell its code, number and count of list elements; and these elements, all in a row."""
        kinds, size = set(map(type, values)), len(values)
        nothing = np.zeros(size, np.int64), np.zeros(0, np.int32)
        # Whole catalogues come at once, and nearly always a property has one type.
        if kinds <= {str}:
            return self.words.encode_all(values), np.full(size, np.nan), *nothing
        if kinds <= {float, int}:
            with contextlib.suppress(OverflowError):  # an integer beyond floats
                numbers = np.array(values, np.float64)
                return np.where(np.isnan(numbers), MISSING, NUMBER).astype(np.int32), numbers, *nothing
        if kinds <= {list} and set(map(type, members := list(chain.from_iterable(values)))) <= {str}:
            counts, tokens = _distinct(np.fromiter(map(len, values), np.int64, size), self.words.encode_all(members))
            return np.full(size, LIST, np.int32), np.full(size, np.nan), counts, tokens
        codes, found, lists = zip(*map(self._cell, values), strict=True)
        counts = np.fromiter(map(len, lists), np.int64, size)
        return np.array(codes, np.int32), np.array(found), counts, np.fromiter(chain.from_iterable(lists), np.int32)

    def _cell(self, value: Any) -> tuple[int, float, Sequence[int]]:
        if isinstance(value, list | tuple | set | frozenset):
            members = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            known = [scalar for member in members if (scalar := scalar_of(member)) is not None]
            return LIST, np.nan, list(dict.fromkeys(map(self.words.encode, known)))
        scalar = scalar_of(value)
        if scalar is None:
            return MISSING, np.nan, ()
        if isinstance(scalar, float):
            return NUMBER, scalar, ()
        return self.words.encode(scalar), np.nan, ()

    @cached_property
    def has_words(self) -> bool:
        """Whether any cell is a text or a flag."""
        return bool((self.codes > LIST).any())

    @cached_property
    def has_numbers(self) -> bool:
        """Whether any cell is a number."""
        return bool((self.codes == NUMBER).any())

    @cached_property
    def present(self) -> np.ndarray:
        """Bool (items,): whether the cell holds anything; an empty list is something."""
        return self.codes != MISSING

    @cached_property
    def _inverted(self) -> sp.csc_matrix:
        size = int(self.tokens.max(initial=-1)) + 1
        cells = (np.ones(len(self.tokens), np.int8), self.tokens, self.offsets)
        return sp.csr_matrix(cells, shape=(len(self.codes), size)).tocsc()

    def listing(self, code: int) -> np.ndarray:
        """Places of the items in whose list a word is."""
        inverted = self._inverted
        if code >= inverted.shape[1]:
            return inverted.indices[:0]
        return inverted.indices[inverted.indptr[code] : inverted.indptr[code + 1]]

    @cached_property
    def labels(self) -> Labels:
        """What the items are labelled with: the elements of a list, else the value; equal numbers are one label."""
        single = np.where(self.codes > LIST, self.codes, -1).astype(np.int64)
        numbers = self.codes == NUMBER
        if numbers.any():
            single[numbers] = len(self.words) + np.unique(self.numbers[numbers], return_inverse=True)[1]
        lengths = np.diff(self.offsets) + (single >= 0)
        values = np.empty(int(lengths.sum()), np.int64)
        of_list = np.repeat(self.codes == LIST, lengths)
        values[of_list] = self.tokens
        values[~of_list] = single[single >= 0]
        return Labels(np.concatenate([[0], np.cumsum(lengths)]), values)


@dataclass(frozen=True, eq=False)
class Columns:
    """The properties of items, a row each; immutable, and cheap to derive with a few rows changed.

    Each cell has the type it came with, so one property may hold numbers in some rows and text in others. Text, numbers and flags
    stay what they are; a list keeps its elements that are; anything else (null, NaN, an object) is missing. Numbers are float64.
    `category` and `categories` mean each other where only one of them exists.
    """

    size: int
    """how many items"""
    fields: Mapping[str, Column]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], fields: Iterable[str] = ()) -> Columns:
        """Columns of the properties that occur in `rows`, and of `fields` whether or not any row has them."""
        bare = cls(len(rows), {name: Column.empty(len(rows)) for name in fields})
        return bare._changed(len(rows), dict(enumerate(rows)))

    def extended(self, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """With rows added at the end."""
        return self._changed(self.size + len(rows), dict(enumerate(rows, self.size)))

    def replaced(self, rows: Mapping[int, Mapping[str, Any]]) -> Columns:
        """With the rows at some places replaced as a whole."""
        return self._changed(self.size, rows)

    def _changed(self, size: int, rows: Mapping[int, Mapping[str, Any]]) -> Columns:
        cells: dict[str, tuple[list[int], list[Any]]] = {}
        for place in sorted(rows):
            for name, value in rows[place].items():
                found = cells.get(name)
                if found is None:
                    found = cells[name] = ([], [])
                found[0].append(place)
                found[1].append(value)
        cleared = np.fromiter((place for place in rows if place < self.size), np.int64)
        names = [*self.fields, *(name for name in cells if name not in self.fields)][:MAX_FIELDS]
        fields = {}
        for name in names:
            column = self.fields.get(name) or Column.empty(self.size)
            fields[name] = column.changed(size, cleared, *cells.get(name, ((), ())))
        return Columns(size, fields)

    def column(self, name: str, position: int | None = None) -> Column:
        """The column of a property.

        Raises:
            FilterError: no item has it; names the nearest that exists.
        """
        found = self.fields.get(name) or self.fields.get(_ALIASES.get(name, name))
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self.fields, n=1)
        known = ", ".join(sorted(self.fields)[:12]) or "none"
        raise refused(
            f"the field {name[:80]!r}" + (f" at character {position}" if position is not None else ""),
            code="filter_unknown_field",
            expected="a property that items have",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {known}",
        )

    def labels(self, name: str) -> Labels:
        """Labels of all items by a property, for `policy.max_per`.

        Raises:
            FilterError: no item has the property.
        """
        return self.column(name).labels


def _distinct(lengths: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ragged lists without what comes in one of them again: their lengths and their elements."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    first = np.sort(np.unique(rows * (int(tokens.max(initial=0)) + 1) + tokens, return_index=True)[1])
    return np.bincount(rows[first], minlength=len(lengths)), tokens[first]
