"""What filters mean, told a second time: row by row, in plain Python; and random trees and rows to compare by."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tastemaker.recommend.filters import tree as t

NAMES = ("price", "brand", "tags", "sold out")
PARAMETERS = {"max": 2.0, "brand": "b", "list": ["a", 2, None], "none": None, "empty": []}
CONTEXT = {"country": "a", "number": 1, "many": ["a", "b"]}

words = st.sampled_from(["", "a", "b", "ab", "ba", "aab", "%", "it's", 'q"', "É"])
numbers = st.sampled_from([0.0, 1.0, -1.5, 2.0, 1e300])
scalars = st.one_of(words, numbers, st.booleans())
cells = st.one_of(
    scalars,
    st.none(),
    st.integers(-2, 2),
    st.just(float("nan")),
    st.lists(st.one_of(scalars, st.none()), max_size=3),
    st.just({}),
)
rows = st.lists(st.dictionaries(st.sampled_from(NAMES), cells), max_size=12)

_single = st.sampled_from(
    [t.Parameter("max"), t.Parameter("brand"), t.Parameter("none"), t.Context("country"), t.Context("nowhere")]
)
_listed = st.sampled_from([t.Parameter("list"), t.Parameter("empty"), t.Parameter("max"), t.Context("many")])
fields = st.sampled_from(NAMES).map(t.Field)
operands = st.one_of(fields, fields, fields, _single, st.just(t.Context("many")))
values = st.one_of(scalars, _single)
many = st.one_of(st.lists(values, min_size=1, max_size=3).map(tuple), _listed)
patterns = st.lists(st.sampled_from(["a", "b", "%", "É"]), max_size=5).map("".join)
conditions = st.one_of(
    st.builds(t.Compare, operands, st.sampled_from(["=", "<", "<=", ">", ">="]), values),
    st.builds(t.Among, operands, many),
    st.builds(t.HasAll, operands, many),
    st.builds(t.Between, operands, values, values),
    st.builds(t.Like, operands, st.one_of(patterns, _single)),
    st.builds(t.IsNull, operands),
)


def _joined(inner: st.SearchStrategy) -> st.SearchStrategy:
    terms = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(t.Not, inner), st.builds(t.And, terms), st.builds(t.Or, terms))


trees = st.recursive(conditions, _joined, max_leaves=6)


def holds(tree: Any, row: dict[str, Any]) -> bool | None:
    """True, False or None for unknown."""
    match tree:
        case t.And(terms):
            return _all([holds(term, row) for term in terms])
        case t.Or(terms):
            return _any([holds(term, row) for term in terms])
        case t.Not(term):
            verdict = holds(term, row)
            return None if verdict is None else not verdict
        case t.IsNull(operand):
            return _elements(operand, row) is None
    elements = _elements(tree.operand, row)
    if elements is None:
        return None
    match tree:
        case t.HasAll(_, given):
            return _all([_any([_same(one, value) for one in elements]) for value in _many(given, row)])
        case t.Among(_, given):
            wanted = _many(given, row)
            return _any([_any([_same(one, value) for value in wanted]) for one in elements])
        case t.Compare(_, "=", value):
            return _any([_same(one, _one(value)) for one in elements])
        case t.Compare(_, operator, value):
            return _any([_order(one, operator, _one(value)) for one in elements])
        case t.Between(_, low, high):
            return _any([_all([_order(one, ">=", _one(low)), _order(one, "<=", _one(high))]) for one in elements])
        case t.Like(_, pattern):
            return _any([_like(one, _one(pattern)) for one in elements])
    raise AssertionError(tree)


def _elements(operand: Any, row: dict[str, Any]) -> list | None:
    cell = row.get(operand.name) if isinstance(operand, t.Field) else _given(operand)
    if isinstance(cell, list):
        return [one for one in cell if one is not None]
    return None if cell is None or cell == {} or cell != cell else [cell]


def _given(source: Any) -> Any:
    return PARAMETERS[source.name] if isinstance(source, t.Parameter) else CONTEXT.get(source.name)


def _one(value: Any) -> Any:
    return value if isinstance(value, str | float | bool) else _given(value)


def _many(values: Any, row: dict[str, Any]) -> list:
    if isinstance(values, tuple):
        return [_one(value) for value in values]
    given = _given(values)
    return given if isinstance(given, list) else [given]


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _same(one: Any, value: Any) -> bool | None:
    return None if value is None else _kind(one) is _kind(value) and one == value


def _order(one: Any, operator: str, value: Any) -> bool | None:
    if _kind(one) is not _kind(value) or isinstance(one, bool):
        return None
    return {"<": one < value, "<=": one <= value, ">": one > value, ">=": one >= value}[operator]


def _like(one: Any, pattern: Any) -> bool | None:
    if not isinstance(one, str) or not isinstance(pattern, str):
        return None
    # by the definition: does any way of splitting the text fit the pattern?
    if not pattern:
        return not one
    if pattern[0] == "%":
        return any(_like(one[start:], pattern[1:]) for start in range(len(one) + 1))
    return bool(one) and one[0] == pattern[0] and bool(_like(one[1:], pattern[1:]))


def _all(verdicts: list) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _any(verdicts: list) -> bool | None:
    return True if True in verdicts else None if None in verdicts else False
