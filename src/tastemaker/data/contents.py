"""Contents: what items are made of, as counts of terms that can be compared across items; nothing is learned but the bins of numbers.

| a property's value | its terms |
|---|---|
| text | its words, whichever property they stand in; short text also as a whole, within its property |
| element of a list | as text |
| flag | itself, within its property |
| number | the one of 16 equally filled bins that it falls into, and that of 16 that lie half a bin further |
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

TERMS = 1 << 20
"""hash buckets: words in the even ones, values of properties in the odd"""

Scalar = str | float | bool

_MOST_WORDS = 512
_SHORT = 64  # text up to here is also a value of its property: a brand, a language
_BINS = 16
_BREATH = 64  # values between pauses
_WORD = re.compile(r"\w+")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows by property. Properties are texts, numbers, flags, or lists of them; other values say nothing."""

    size: int
    """rows"""
    scalars: Mapping[str, tuple[list[int], list[Scalar]]]
    """of each property the values, elements of lists among them, and the row of each"""
    numbers: Mapping[str, list[float]]
    """of each property the numbers that are in no list"""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], pause: Callable[[], object] = lambda: None) -> Cells:
        scalars: dict[str, tuple[list[int], list[Scalar]]] = {}
        numbers: dict[str, list[float]] = {}
        size = 0
        for place, row in enumerate(_paced(rows, pause)):
            size = place + 1
            for name, value in row.items():
                several = isinstance(value, list | tuple)
                for one in value if several else (value,):
                    scalar = scalar_of(one)
                    if scalar is None:
                        continue
                    held = scalars.get(name)
                    if held is None:
                        held = scalars[name] = ([], [])
                    held[0].append(place)
                    held[1].append(scalar)
                    if not several and type(scalar) is float:
                        numbers.setdefault(name, []).append(scalar)
        return cls(size, scalars, numbers)

    def edges(self) -> dict[str, np.ndarray]:
        """Edges of equally filled bins for each property that is a number anywhere; every second one is a bin of the overlap."""
        shares = np.linspace(0, 1, 2 * _BINS + 1)[1:-1]
        return {name: np.quantile(values, shares, method="nearest") for name, values in self.numbers.items()}

    def counts(self, edges: Mapping[str, np.ndarray], pause: Callable[[], object] = lambda: None) -> sp.csr_matrix:
        """How often each term occurs in each row: float32 (rows, terms). A value's terms are made once, however many rows have it."""
        rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        buckets: dict[str, int] = {}
        for name, (places, scalars) in self.scalars.items():
            at = np.array(places)
            numeric = np.fromiter((isinstance(one, float) for one in _paced(scalars, pause)), bool, len(scalars))
            if name in edges and numeric.any():
                bins = np.searchsorted(edges[name], np.array([one for one in scalars if isinstance(one, float)]), side="right")
                for marks, bin_ in (("\0\0", bins // 2), ("\0\0\0", (bins + 1) // 2)):
                    named = np.array([_bucket(f"{name}{marks}{place}", 1) for place in range(_BINS + 1)])
                    rows.append(at[numeric])
                    columns.append(named[bin_])
            worded = [one for one in _paced(scalars, pause) if not isinstance(one, float)]
            distinct = dict.fromkeys(worded)
            terms = [_terms(name, one, buckets) for one in _paced(distinct, pause)]
            codes = dict(zip(distinct, range(len(distinct)), strict=True))
            which = np.fromiter(map(codes.__getitem__, worded), np.int64, len(worded))
            lengths = np.fromiter(map(len, terms), np.int64, len(terms))
            flat = np.fromiter(chain.from_iterable(terms), np.int64, lengths.sum())
            each = lengths[which]
            starts = np.repeat((np.cumsum(lengths) - lengths)[which] - (np.cumsum(each) - each), each)
            rows.append(np.repeat(at[~numeric], each))
            columns.append(flat[starts + np.arange(len(starts))])
        row, column = np.concatenate(rows), np.concatenate(columns)
        matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(self.size, TERMS))
        matrix.sum_duplicates()
        return matrix


def _paced(values: Iterable[T], pause: Callable[[], object]) -> Iterator[T]:
    """The values, with a pause after some of them."""
    for place, one in enumerate(values):
        if place % _BREATH == _BREATH - 1:
            pause()
        yield one


def _terms(name: str, value: str | bool, buckets: dict[str, int]) -> list[int]:
    """Columns of the terms of a value that is no number: its words, and where it is short or a flag the value itself.

    `buckets` remembers those of words.
    """
    if isinstance(value, bool):
        return [_bucket(f"{name}\0\0{value}", 1)]
    words = _WORD.findall(value.lower())[:_MOST_WORDS]
    for word in words:
        if word not in buckets:
            buckets[word] = _bucket(word, 0)
    found = [buckets[word] for word in words]
    return [*found, _bucket(f"{name}\0{value}", 1)] if len(value) <= _SHORT else found


def _bucket(text: str, kind: int) -> int:
    """The column of a term; a word holds no NUL, so no value is taken for one."""
    return 2 * (zlib.crc32(text.encode(errors="surrogatepass")) % (TERMS // 2)) + kind


def scalar_of(value: Any) -> Scalar | None:
    """A value as text, float or bool; None where it is none of these, NaN included."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.integer | np.floating):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf") if value > 0 else float("-inf")
        return None if number != number else number
    return None
