"""What a filter says, as a tree; `written` gives it back as text that parses to the same tree.

The spellings of one thing are one node: `a != b` is `NOT a = b`, `a NOT IN …` is `NOT a IN …` (the same for BETWEEN, LIKE and
IS NOT NULL), `tags HAS 'x'` is `tags = 'x'`, and `tags HAS ANY (…)` is `tags IN (…)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tastemaker.data.contents import Scalar

Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Field:
    """A property of the item."""

    name: str
    position: int = field(default=1, compare=False)
    """of its first character in the text, from 1"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name`: a value given with the request."""

    name: str
    position: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Context:
    """`context.name`: what the request says about its circumstances; missing where it says nothing."""

    name: str


Given = Parameter | Context
Operand = Field | Given
Value = Scalar | Given
Values = tuple[Value, ...] | Given


@dataclass(frozen=True, slots=True)
class Compare:
    """`operand operator value`."""

    operand: Operand
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    """`operand IN (values)`; a parameter may be the whole list."""

    operand: Operand
    values: Values


@dataclass(frozen=True, slots=True)
class HasAll:
    """`operand HAS ALL (values)`."""

    operand: Operand
    values: Values


@dataclass(frozen=True, slots=True)
class Between:
    """`operand BETWEEN low AND high`, both included."""

    operand: Operand
    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Like:
    """`operand LIKE pattern`, where % stands for any text."""

    operand: Operand
    pattern: str | Given


@dataclass(frozen=True, slots=True)
class IsNull:
    """`operand IS NULL`."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT term`."""

    term: Tree


@dataclass(frozen=True, slots=True)
class And:
    """Two terms or more, all of which must hold."""

    terms: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two terms or more, one of which must hold."""

    terms: tuple[Tree, ...]


Condition = Compare | Among | HasAll | Between | Like | IsNull
Tree = Condition | Not | And | Or


def written(tree: Tree) -> str:
    """The tree as text: parsing it gives an equal tree."""
    match tree:
        case Compare(operand, operator, value):
            return f"{_value(operand)} {operator} {_value(value)}"
        case Among(operand, values):
            return f"{_value(operand)} IN {_values(values)}"
        case HasAll(operand, values):
            return f"{_value(operand)} HAS ALL {_values(values)}"
        case Between(operand, low, high):
            return f"{_value(operand)} BETWEEN {_value(low)} AND {_value(high)}"
        case Like(operand, pattern):
            return f"{_value(operand)} LIKE {_value(pattern)}"
        case IsNull(operand):
            return f"{_value(operand)} IS NULL"
        case Not(term):
            return f"NOT {_inner(term)}"
        case And(terms):
            return " AND ".join(map(_inner, terms))
        case Or(terms):
            return " OR ".join(map(_inner, terms))


def _inner(tree: Tree) -> str:
    return f"({written(tree)})" if isinstance(tree, And | Or) else written(tree)


def _values(values: Values) -> str:
    return f"({', '.join(map(_value, values))})" if isinstance(values, tuple) else _value(values)


def _value(value: Operand | Value) -> str:
    match value:
        case Field(name):
            return '"' + name.replace('"', '""') + '"'
        case Parameter(name):
            return f"${name}"
        case Context(name):
            return f"context.{name}"
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(float(value))
