"""The filter language: a bounded subset of SQL's WHERE, read by an LALR(1) parser; nothing is ever evaluated as code.

```
category IN ('a', 'b') AND price < $max AND NOT tags HAS 'x'
"shelf life" BETWEEN 3 AND 9 OR title LIKE '%tea%' OR (brand IS NULL AND country = context.country)
```
Text stands in single quotes (`''` is a quote in it), names with odd letters in double quotes; keywords are read in any case.
Whatever the text, reading it gives a tree or raises FilterError; the price is linear in its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from tastemaker.errors import FilterError
from tastemaker.recommend.filters import tree as t

MAX_LENGTH = 4096
"""Characters of a filter at most."""
MAX_DEPTH = 32
"""Parentheses and NOTs in one another at most."""
MAX_TERMS = 256
"""Fields and values of a filter at most, together; a parameter that is a list counts once."""

_GRAMMAR = r"""
?start: either
?either: both (OR both)*                              -> either
?both: term (AND term)*                               -> both
?term: condition | NOT term -> negated | "(" either ")"
?condition: operand COMPARATOR value                  -> compare
    | operand IN values                               -> among
    | operand NOT IN values                           -> not_among
    | operand BETWEEN value AND value                 -> between
    | operand NOT BETWEEN value AND value             -> not_between
    | operand LIKE pattern                            -> like
    | operand NOT LIKE pattern                        -> not_like
    | operand IS NULL                                 -> is_null
    | operand IS NOT NULL                             -> is_not_null
    | operand HAS value                               -> has
    | operand HAS ANY values                          -> among
    | operand HAS ALL values                          -> has_all
?operand: NAME -> name | QUOTED -> quoted | given
?value: NUMBER -> number | STRING -> string | TRUE -> true | FALSE -> false | given
?pattern: STRING -> string | given
?values: "(" value ("," value)* ")" -> listed | given
?given: PARAMETER -> parameter | CONTEXT -> context

AND.2: /AND(?![\w.])/i
OR.2: /OR(?![\w.])/i
NOT.2: /NOT(?![\w.])/i
IN.2: /IN(?![\w.])/i
BETWEEN.2: /BETWEEN(?![\w.])/i
LIKE.2: /LIKE(?![\w.])/i
IS.2: /IS(?![\w.])/i
NULL.2: /NULL(?![\w.])/i
HAS.2: /HAS(?![\w.])/i
ANY.2: /ANY(?![\w.])/i
ALL.2: /ALL(?![\w.])/i
TRUE.2: /TRUE(?![\w.])/i
FALSE.2: /FALSE(?![\w.])/i
COMPARATOR: "=" | "!=" | "<>" | "<=" | "<" | ">=" | ">"
CONTEXT.3: /context\.[^\W\d]\w*(\.\w+)*/
NAME: /[^\W\d]\w*(\.\w+)*/
QUOTED: /"(?:[^"]|"")+"/
PARAMETER: /\$[^\W\d]\w*/
STRING: /'(?:[^']|'')*'/
NUMBER: /[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/
%ignore /\s+/
"""

_WORDS = {
    "NAME": "a field",
    "QUOTED": "a field",
    "PARAMETER": "a $parameter",
    "CONTEXT": "context.name",
    "STRING": "'text'",
    "NUMBER": "a number",
    "COMPARATOR": "= != < <= > >=",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "$END": "the end",
}
_TERMS = {"NAME", "QUOTED", "PARAMETER", "CONTEXT", "STRING", "NUMBER", "TRUE", "FALSE"}


def read(text: str) -> t.Tree:
    """The tree of a filter.

    Raises:
        FilterError: the text is no filter, or too long, deep or rich; says where and what was expected.
    """
    if len(text) > MAX_LENGTH:
        raise refused(
            f"a filter of {len(text)} characters", expected=f"at most {MAX_LENGTH}", hint="give long lists as $parameters"
        )
    try:
        _bounded(_parser().lex(text))
        return _parser().parse(text)  # type: ignore[return-value]
    except UnexpectedInput as problem:
        raise _told(text, problem) from None


def refused(found: str, *, code: str = "filter_syntax", expected: str = "", hint: str = "") -> FilterError:
    """The error of a filter."""
    return FilterError(found, code=code, expected=expected, hint=hint)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder())


def _bounded(tokens: Iterator[Token]) -> None:
    """Counts levels and terms before anything is built of them."""
    base, level, terms = 0, 0, 0
    outside: list[tuple[int, int]] = []
    for token in tokens:
        terms += token.type in _TERMS
        if token.type == "NOT":
            level += 1
        elif token.type == "LPAR":
            outside.append((base, level))
            base = level = level + 1
        elif token.type == "RPAR" and outside:
            base, level = outside.pop()
        elif token.type in ("AND", "OR"):
            level = base
        if level > MAX_DEPTH:
            raise refused(f"more levels {_at(token)}", expected=f"at most {MAX_DEPTH} levels of parentheses and NOT")
        if terms > MAX_TERMS:
            raise refused(
                f"more terms {_at(token)}",
                expected=f"at most {MAX_TERMS} fields and values",
                hint="give a list as a $parameter",
            )


def _at(token: Token) -> str:
    return f"at character {token.start_pos + 1}"  # type: ignore[operator]


def _told(text: str, problem: UnexpectedInput) -> FilterError:
    """The parser's complaint in words."""
    if isinstance(problem, UnexpectedCharacters):
        start = problem.pos_in_stream or 0
        rest = text[start:]
        found, hint = f"{rest[:12]!r} at character {start + 1}", ""
        if rest[0] in "'\"":
            found, hint = f"a quote without its end at character {start + 1}", "a quote in a text is written ''"
        elif rest[0] in "&|!":
            hint = "write AND, OR, NOT"
        return refused(found, expected="a field, a value, an operator or a parenthesis", hint=hint)
    assert isinstance(problem, UnexpectedToken)
    token, hint = problem.token, ""
    wanted = set(problem.accepts or problem.expected)
    found = f"the end at character {len(text) + 1}" if token.type == "$END" else f"{token.value[:40]!r} {_at(token)}"
    if token.type in ("NAME", "QUOTED") and "STRING" in wanted:
        hint = "text stands in single quotes: " + "'" + token.value[:40].strip('"').replace("'", "''") + "'"
    elif token.type == "NULL":
        hint = "write IS NULL"
    elif token.type == "COMPARATOR" and token.value == "=" and "STRING" in wanted:
        hint = "equality is a single ="
    elif token.type in ("STRING", "NUMBER", "TRUE", "FALSE") and "NAME" in wanted:
        hint = 'a condition begins with its field; odd names stand in double quotes: "shelf life"'
    elif token.type in ("ANY", "ALL", "IN", "IS", "HAS", "LIKE", "BETWEEN") and "NAME" in wanted:
        hint = f'a field of that name stands in double quotes: "{token.value}"'
    return refused(found, expected=" or ".join(sorted({_WORDS.get(name, name) for name in wanted})), hint=hint)


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Makes nodes of what the parser has read; called while it reads, so that no depth of nesting recurses here."""

    def either(self, *terms: Any) -> t.Tree:
        return t.Or(terms[::2]) if len(terms) > 1 else terms[0]

    def both(self, *terms: Any) -> t.Tree:
        return t.And(terms[::2]) if len(terms) > 1 else terms[0]

    def negated(self, _not: Token, term: t.Tree) -> t.Tree:
        return t.Not(term)

    def compare(self, operand: t.Operand, operator: Token, value: t.Value) -> t.Tree:
        if operator in ("!=", "<>"):
            return t.Not(t.Compare(operand, "=", value))
        return t.Compare(operand, str(operator), value)  # type: ignore[arg-type]

    def has(self, operand: t.Operand, _has: Token, value: t.Value) -> t.Tree:
        return t.Compare(operand, "=", value)

    def among(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Among(operand, rest[-1])

    def not_among(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Not(t.Among(operand, rest[-1]))

    def has_all(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.HasAll(operand, rest[-1])

    def between(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Between(operand, rest[-3], rest[-1])

    def not_between(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Not(t.Between(operand, rest[-3], rest[-1]))

    def like(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Like(operand, rest[-1])

    def not_like(self, operand: t.Operand, *rest: Any) -> t.Tree:
        return t.Not(t.Like(operand, rest[-1]))

    def is_null(self, operand: t.Operand, *_rest: Token) -> t.Tree:
        return t.IsNull(operand)

    def is_not_null(self, operand: t.Operand, *_rest: Token) -> t.Tree:
        return t.Not(t.IsNull(operand))

    def name(self, token: Token) -> t.Field:
        return t.Field(str(token), token.start_pos + 1)  # type: ignore[operator]

    def quoted(self, token: Token) -> t.Field:
        return t.Field(token[1:-1].replace('""', '"'), token.start_pos + 1)  # type: ignore[operator]

    def parameter(self, token: Token) -> t.Parameter:
        return t.Parameter(str(token[1:]), token.start_pos + 1)  # type: ignore[operator]

    def context(self, token: Token) -> t.Context:
        return t.Context(str(token[len("context.") :]))

    def number(self, token: Token) -> float:
        value = float(token)
        if not math.isfinite(value):
            raise refused(f"{token[:40]!s} {_at(token)}", expected="a finite number")
        return value

    def string(self, token: Token) -> str:
        return token[1:-1].replace("''", "'")

    def true(self, _token: Token) -> bool:
        return True

    def false(self, _token: Token) -> bool:
        return False

    def listed(self, *values: t.Value) -> tuple[t.Value, ...]:
        return values
