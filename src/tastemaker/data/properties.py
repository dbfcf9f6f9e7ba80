"""Properties as columns: what JSON says of items and users, as tables that something can be learned from."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tastemaker.store.base import Item, User

PROPERTIES = 64
"""Columns at most, besides ids and categories: the properties that most have."""

_NAME = re.compile(r"[\w][\w .:-]{0,63}")


def item_columns(items: Sequence[Item]) -> pa.Table:
    """A row an item: `item_id`, `categories`, and the properties that most have."""
    columns: dict[str, pa.Array] = {"item_id": pa.array([item.item_id for item in items], pa.string())}
    columns["categories"] = pa.array([list(item.categories) for item in items], pa.list_(pa.string()))
    return pa.table(columns | _properties([item.properties for item in items], set(columns)))


def user_columns(users: Sequence[User]) -> pa.Table:
    """A row a user: `user_id`, and the properties that most have."""
    columns: dict[str, pa.Array] = {"user_id": pa.array([user.user_id for user in users], pa.string())}
    return pa.table(columns | _properties([user.properties for user in users], set(columns)))


def _properties(rows: Sequence[Mapping[str, Any]], taken: set[str]) -> dict[str, pa.Array]:
    """A column for each of the properties that most rows have, but for names taken; names differ by more than case, as DuckDB wants."""
    columns: dict[str, pa.Array] = {}
    for key, _count in Counter(key for row in rows for key in row if _NAME.fullmatch(key)).most_common():
        if key.lower() not in taken and len(columns) < PROPERTIES:
            taken.add(key.lower())
            columns[key] = _column([row.get(key) for row in rows])
    return columns


def _column(values: list[Any]) -> pa.Array:
    """One type for a property whose values need not have one: truth, numbers, lists of text, else text."""
    real = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in real):
        return pa.array(values, pa.bool_())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in real):
        return pa.array([_number(value) for value in values], pa.float64())
    if any(isinstance(value, list) for value in real):
        return pa.array([None if value is None else _list(value) for value in values], pa.list_(pa.string()))
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _number(value: int | float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:  # JSON's integers have no end
        return None


def _list(value: Any) -> list[str]:
    return [_text(one) for one in value] if isinstance(value, list) else [_text(value)]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(dict(value) if isinstance(value, Mapping) else value)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
