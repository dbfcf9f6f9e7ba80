"""Items: put, tombstones, and what changed since."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tastemaker.store.base import Item, Page
from tastemaker.store.codec import asked_id, finite, from_cursor, id_bytes, time_of, to_cursor, to_json
from tastemaker.store.names import top
from tastemaker.store.part import Part
from tastemaker.store.schema import items as table

_CHUNK = 1000
_COLUMNS = ("item_id", "properties", "categories", "available_from", "expires_at", "hidden", "embedding", "deleted")
_ASKED = [table.c[name] for name in _COLUMNS]
_decode = msgspec.json.Decoder().decode


class Catalogue(Part):
    """The part of the store that holds items."""

    def put_items(self, items: Sequence[Item]) -> None:
        rows = {row["item_id"]: row for row in map(_row, items)}  # the last of an id wins
        if not rows:
            return
        with self.db.writing() as connection:
            cursor = connection.connection.cursor()
            keys, _ = self.names.give_items(cursor, list(rows))
            changed = top(cursor, "items", "changed")
            put = [
                {**row, "item_key": keys[name], "changed": changed + place} for place, (name, row) in enumerate(rows.items(), 1)
            ]
            statement = self.db.upsert(table)
            for start in range(0, len(put), _CHUNK):
                connection.execute(statement, put[start : start + _CHUNK])
        self.names.remember(keys)

    def delete_item(self, item_id: str) -> bool:
        with self.db.writing() as connection:
            changed = top(connection.connection.cursor(), "items", "changed") + 1
            gone = {column.name: None for column in table.columns if column.nullable}
            done = connection.execute(
                table.update()
                .where(table.c.item_id == asked_id(item_id), sa.not_(table.c.deleted))
                .values(**gone, deleted=True, hidden=False, changed=changed)
            )
        return bool(done.rowcount)

    def item(self, item_id: str) -> Item | None:
        with self.db.reading() as connection:
            query = sa.select(*_ASKED).where(table.c.item_id == asked_id(item_id), sa.not_(table.c.deleted))
            row = connection.execute(query).one_or_none()
        return None if row is None else _item(*row)

    def items(self, cursor: str | None = None, limit: int = 100) -> Page[Item]:
        query = sa.select(*_ASKED).where(sa.not_(table.c.deleted)).order_by(table.c.item_id).limit(limit + 1)
        if cursor is not None:
            query = query.where(table.c.item_id > from_cursor(cursor, bytes)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        return Page(
            [_item(*row) for row in rows[:limit]], to_cursor(bytes(rows[limit - 1].item_id)) if len(rows) > limit else None
        )

    def changes(self, since: int, limit: int = 10_000) -> tuple[list[Item], int]:
        # A service that starts reads the whole catalogue so: rows as the driver has them, in the order of `_item`.
        text = f"SELECT {', '.join(_COLUMNS)}, item_key, changed FROM items WHERE changed > ? ORDER BY changed LIMIT ?"
        with self.db.cursor() as cursor:
            rows = cursor.execute(self.db.sql(text), (since, limit)).fetchall()
        found = [_item(*row[:-2]) for row in rows]
        self.names.met((row[-2] for row in rows), (item.item_id for item in found))
        return found, rows[-1][-1] if rows else since


def _row(item: Item) -> dict[str, Any]:
    embedding = item.embedding
    return {
        "item_id": id_bytes(item.item_id, "item_id"),
        "properties": to_json(item.properties, "properties"),
        "categories": to_json(item.categories, "categories"),
        "available_from": None if item.available_from is None else time_of(item.available_from, "available_from"),
        "expires_at": None if item.expires_at is None else time_of(item.expires_at, "expires_at"),
        "hidden": bool(item.hidden),
        "embedding": None
        if embedding is None
        else struct.pack(f"<{len(embedding)}d", *(finite(x, "embedding") for x in embedding)),
        "deleted": bool(item.deleted),
    }


def _item(
    item_id: bytes,
    properties: str | None,
    categories: str | None,
    available_from: int | None,
    expires_at: int | None,
    hidden: bool,
    embedding: bytes | None,
    deleted: bool,
) -> Item:
    return Item(
        bytes(item_id).decode(),
        {} if properties is None else _decode(properties),
        () if categories is None else tuple(_decode(categories)),
        available_from,
        expires_at,
        bool(hidden),
        None if embedding is None else struct.unpack(f"<{len(embedding) // 8}d", embedding),
        bool(deleted),
    )
