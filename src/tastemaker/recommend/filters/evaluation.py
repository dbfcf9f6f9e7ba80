"""What a filter means: a mask over items, in the three-valued logic of SQL.

A condition is true, false or unknown. It is unknown of a missing value (IS NULL apart), and where a value is compared with null.
Equality (`=`, IN, HAS) of a text with a number is false; their order and LIKE of a number are unknown. Of a list a condition is
true if it is of one element, unknown if it is of none but unknown of one, else false; so `category != 'a'` means that no category
is 'a'. NOT of unknown is unknown; AND and OR are Kleene's. Matched is what is true.

Text is compared by code points, upper and lower case apart. In LIKE % stands for any text and nothing else for anything but itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tastemaker.data.contents import scalar_of
from tastemaker.recommend.filters import tree as t
from tastemaker.recommend.filters.columns import LIST, Column, Columns
from tastemaker.recommend.filters.grammar import read, refused

MAX_VALUES = 1000
"""Elements of a parameter that is a list at most."""

Verdict = tuple[np.ndarray, np.ndarray]
"""Where a condition is true, and where it is false: bool (items,), or (1,) for all items alike."""

_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_LISTS = list | tuple | set | frozenset


@dataclass(frozen=True)
class Filter:
    """A filter that was read; made by `parse`."""

    tree: t.Tree

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The properties it asks for, sorted."""
        return tuple(sorted({part.name for part in _parts(self.tree) if isinstance(part, t.Field)}))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The parameters it needs, sorted."""
        return tuple(sorted({part.name for part in _parts(self.tree) if isinstance(part, t.Parameter)}))

    def mask(
        self, columns: Columns, parameters: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Which items match: a fresh bool (items,).

        Args:
            columns: the items.
            parameters: values of `$name`: text, numbers, flags, None, or lists of them where a list may stand; others are ignored.
            context: values of `context.name`; what is not there is null.

        Raises:
            FilterError: a field that no item has, a parameter that is not given or of no use.
        """
        true, _false = _Evaluation(columns, parameters or {}, context or {}).verdict(self.tree)
        return np.array(np.broadcast_to(true, columns.size))

    def __str__(self) -> str:
        return t.written(self.tree)


@lru_cache(maxsize=1024)
def parse(text: str) -> Filter:
    """Reads a filter; the same text is read once.

    Raises:
        FilterError: the text is no filter; says where, what was expected and what may have been meant.
    """
    return Filter(read(text))


def _parts(tree: t.Tree) -> Iterable[t.Operand]:
    """The fields, parameters and context of a tree."""
    match tree:
        case t.And(terms) | t.Or(terms):
            for term in terms:
                yield from _parts(term)
        case t.Not(term):
            yield from _parts(term)
        case _:
            for name in tree.__slots__:
                part = getattr(tree, name)
                yield from (one for one in (part if isinstance(part, tuple) else (part,)) if not isinstance(one, t.Scalar))


@dataclass(frozen=True)
class _Evaluation:
    columns: Columns
    parameters: Mapping[str, Any]
    context: Mapping[str, Any]

    def verdict(self, tree: t.Tree) -> Verdict:
        match tree:
            case t.And(terms):
                return _and([self.verdict(term) for term in terms])
            case t.Or(terms):
                return _not(_and([_not(self.verdict(term)) for term in terms]))
            case t.Not(term):
                return _not(self.verdict(term))
            case t.IsNull(operand):
                column = self._column(operand)
                return ~column.present, column.present
            case t.Compare(operand, "=", value):
                return _equal(self._column(operand), [self._value(value)])
            case t.Compare(operand, order, value):
                return _ordered(self._column(operand), [(order, self._value(value))])
            case t.Among(operand, values):
                return _equal(self._column(operand), self._values(values))
            case t.HasAll(operand, values):
                column = self._column(operand)
                return _and([(column.present, np.zeros(1, bool)), *(_equal(column, [one]) for one in self._values(values))])
            case t.Between(operand, low, high):
                return _ordered(self._column(operand), [(">=", self._value(low)), ("<=", self._value(high))])
            case t.Like(operand, pattern):
                return _like(self._column(operand), self._value(pattern))

    def _column(self, operand: t.Operand) -> Column:
        if isinstance(operand, t.Field):
            return self.columns.column(operand.name, operand.position)
        return Column.of([self._given(operand)])

    def _given(self, source: t.Given) -> Any:
        if isinstance(source, t.Context):
            return self.context.get(source.name)
        if source.name not in self.parameters:
            raise refused(
                f"no value of ${source.name} at character {source.position}",
                code="filter_parameter",
                expected="a value for each parameter",
                hint=f"given are: {', '.join(sorted(map(str, self.parameters))[:12]) or 'none'}",
            )
        value = self.parameters[source.name]
        if isinstance(value, _LISTS) and len(value) > MAX_VALUES:
            raise _unfit(source, f"a list of {len(value)} values", f"at most {MAX_VALUES}")
        if isinstance(value, Mapping) or (
            isinstance(value, _LISTS) and any(isinstance(one, _LISTS | Mapping) for one in value)
        ):
            raise _unfit(source, "an object or a nested list", "text, a number, true, false, null or a list of these")
        return value

    def _value(self, value: t.Value) -> t.Scalar | None:
        if isinstance(value, t.Scalar):
            return value
        given = self._given(value)
        if isinstance(given, _LISTS) and isinstance(value, t.Parameter):
            raise _unfit(value, "a list", "a single value here", "lists go with IN, HAS ANY and HAS ALL")
        return scalar_of(given)

    def _values(self, values: t.Values) -> list[t.Scalar | None]:
        if isinstance(values, tuple):
            return [self._value(value) for value in values]
        given = self._given(values)
        return [scalar_of(one) for one in given] if isinstance(given, _LISTS) else [scalar_of(given)]


def _unfit(parameter: t.Given, found: str, expected: str, hint: str = "") -> Exception:
    return refused(f"{found} as ${parameter.name}", code="filter_parameter", expected=expected, hint=hint)


def _not(verdict: Verdict) -> Verdict:
    true, false = verdict
    return false, true


def _and(verdicts: Sequence[Verdict]) -> Verdict:
    true, false = verdicts[0]
    for more, less in verdicts[1:]:
        true, false = true & more, false | less
    return true, false


def _equal(column: Column, values: Sequence[t.Scalar | None]) -> Verdict:
    """Whether a cell equals one of the values."""
    true = np.zeros(len(column.codes), bool)
    known = [value for value in values if value is not None]
    words = [code for value in known if (code := column.words.code(value)) is not None]
    if column.has_numbers:
        for number in {value for value in known if isinstance(value, float)}:
            true |= column.numbers == number
    if column.has_words and len(words) == 1:
        true |= column.codes == words[0]
    elif column.has_words and words:
        table = np.zeros(len(column.words), bool)
        table[words] = True
        true |= table[column.codes]
    if len(column.tokens):
        for code in words:
            true[column.listing(code)] = True
    if len(known) == len(values):
        return true, column.present & ~true
    # A null among the values: nothing is surely unlike all of them, but of an empty list there is nothing to ask.
    return true, _empty_lists(column)


def _ordered(column: Column, bounds: Sequence[tuple[str, t.Scalar | None]]) -> Verdict:
    """Whether a cell is within all bounds."""
    size = len(column.codes)
    numbers = np.ones(size, bool), np.zeros(size, bool)
    for order, bound in bounds if column.has_numbers else ():
        if type(bound) is float:
            numbers = _and([numbers, (_ORDER[order](column.numbers, bound), _ORDER[_OPPOSITE[order]](column.numbers, bound))])
        else:
            numbers = numbers[0] & False, numbers[1]

    def test(word: t.Scalar) -> bool | None:
        verdict: bool | None = True
        for order, bound in bounds:
            if type(word) is not type(bound) or isinstance(bound, bool):
                verdict = verdict and None
            elif not _ORDER[order](word, bound):
                return False
        return verdict

    key = tuple((order, type(bound), bound) for order, bound in bounds)  # True equals 1.0 as a key
    return _judged(column, numbers if column.has_numbers else None, key, test)


def _like(column: Column, pattern: t.Scalar | None) -> Verdict:
    """Whether a cell is a text of the pattern."""
    if not isinstance(pattern, str):
        return _judged(column, None, ("like", None), lambda _word: None)
    first, *middle = pattern.split("%")
    last = middle.pop() if middle else None

    def test(word: t.Scalar) -> bool | None:
        if not isinstance(word, str):
            return None
        if last is None:
            return word == first
        end = len(word) - len(last)
        if not (word.startswith(first) and word.endswith(last)) or len(first) > end:
            return False
        place = len(first)
        for piece in middle:
            place = word.find(piece, place, end)
            if place < 0:
                return False
            place += len(piece)
        return True

    return _judged(column, None, ("like", pattern), test)


def _judged(column: Column, numbers: Verdict | None, key: Any, test: Callable[[Any], bool | None]) -> Verdict:
    """The verdict of a test on words, with the one on numbers given (None: unknown)."""
    true, false = numbers or (np.zeros(len(column.codes), bool), np.zeros(len(column.codes), bool))
    if not column.has_words and not (column.codes == LIST).any():
        return true, false
    of_true, of_false = column.words.table(key, test)
    if column.has_words:
        true, false = true | of_true[column.codes], false | of_false[column.codes]
    if len(column.tokens):
        lists = np.repeat(np.arange(len(column.codes)), np.diff(column.offsets))
        some = np.zeros(len(column.codes), bool)
        some[lists[of_true[column.tokens]]] = True
        open_ = some.copy()
        open_[lists[~of_false[column.tokens]]] = True
        true, false = true | some, false | ((column.codes == LIST) & ~open_)
    return true, false | _empty_lists(column)


def _empty_lists(column: Column) -> np.ndarray:
    return (column.codes == LIST) & (np.diff(column.offsets) == 0)
