"""Ids inside JSON columns: rows that mention one, dropped or rewritten."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from tastemaker.store.codec import from_json, to_json


def mentioning(connection: sa.Connection, table: sa.Table, column: Any, user_id: str) -> list[Any]:
    """Rows whose JSON holds the id as one of its texts or keys."""
    spellings = {json.dumps(user_id), to_json(user_id)}
    near = sa.or_(*(column.contains(text, autoescape=True) for text in spellings))
    return [
        row for row in connection.execute(sa.select(table).where(near)) if _mentions(from_json(row._mapping[column]), user_id)
    ]


def drop(connection: sa.Connection, table: sa.Table, column: Any, user_id: str) -> int:
    """Deletes those rows; how many."""
    (key,) = table.primary_key.columns
    found = mentioning(connection, table, column, user_id)
    for row in found:
        connection.execute(table.delete().where(key == row._mapping[key]))
    return len(found)


def replace(connection: sa.Connection, table: sa.Table, column: Any, user_id: str, mark: str) -> int:
    """Writes `mark` in place of the id in those rows; how many."""
    (key,) = table.primary_key.columns
    found = mentioning(connection, table, column, user_id)
    for row in found:
        text = to_json(_replaced(from_json(row._mapping[column]), user_id, mark))
        connection.execute(table.update().where(key == row._mapping[key]).values({column.name: text}))
    return len(found)


def _mentions(value: Any, user_id: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(part, user_id) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_mentions(part, user_id) for part in value)
    return isinstance(value, str) and value == user_id


def _replaced(value: Any, user_id: str, mark: str) -> Any:
    if isinstance(value, dict):
        return {_replaced(name, user_id, mark): _replaced(part, user_id, mark) for name, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, user_id, mark) for part in value]
    return mark if value == user_id and isinstance(value, str) else value
