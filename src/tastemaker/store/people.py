"""Users: what is known of them, merged, exported, erased."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tastemaker.errors import DataError
from tastemaker.store import tally
from tastemaker.store.base import Page, User
from tastemaker.store.codec import asked_id, from_cursor, from_json, id_bytes, mapping, to_cursor, to_json
from tastemaker.store.database import SILENT_SECONDS
from tastemaker.store.events import shown
from tastemaker.store.forget import drop, mentioning, replace
from tastemaker.store.ingest import erased_digest, note, salt, seen_row
from tastemaker.store.part import Part
from tastemaker.store.schema import answers, audit, dead_letters, erased, events, items, jobs, kinds, seen, settings
from tastemaker.store.schema import users as table


class People(Part):
    """The part of the store that holds users."""

    def put_users(self, users: Sequence[User]) -> None:
        rows = {id_bytes(user.user_id, "user_id"): to_json(user.properties, "properties") for user in users}
        if not rows:
            return
        with self.db.writing() as connection:
            cursor = connection.connection.cursor()
            keys, new = self.names.give_users(cursor, list(rows))
            self.ingest.back(cursor, new)
            put = [(properties, keys[name]) for name, properties in rows.items()]
            cursor.executemany(self.db.sql("UPDATE users SET properties = ? WHERE user_key = ?"), put)

    def user(self, user_id: str) -> User | None:
        with self.db.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.user_id == asked_id(user_id))).one_or_none()
        return None if row is None else _user(row)

    def users(self, cursor: str | None = None, limit: int = 100, prefix: str | None = None) -> Page[User]:
        query = sa.select(table).order_by(table.c.user_id).limit(limit + 1)
        if prefix:
            start = prefix.encode()
            query = query.where(table.c.user_id >= start)
            if end := start.rstrip(b"\xff"):
                query = query.where(table.c.user_id < end[:-1] + bytes([end[-1] + 1]))
        if cursor is not None:
            query = query.where(table.c.user_id > from_cursor(cursor, bytes)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        return Page(
            [_user(row) for row in rows[:limit]], to_cursor(bytes(rows[limit - 1].user_id)) if len(rows) > limit else None
        )

    def profiles(self, user_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        names = [asked_id(one) for one in user_ids]
        text = "SELECT user_id, properties FROM users WHERE user_id IN {}"
        with self.db.cursor(SILENT_SECONDS) as cursor:
            found = {bytes(name): told for name, told in self.db.select_in(cursor, text, list(dict.fromkeys(names)))}
        return [mapping(found.get(name)) for name in names]

    def merge_users(self, source: str, target: str) -> int:
        old, new = id_bytes(source, "source"), id_bytes(target, "target")
        if old == new:
            raise DataError("the same user twice", expected="two users to merge")
        with self.db.writing(seconds=None) as connection:
            cursor = connection.connection.cursor()
            gone = connection.execute(sa.select(table).where(table.c.user_id == old)).one_or_none()
            if gone is None:
                return 0
            keys, made = self.names.give_users(cursor, [new])
            self.ingest.back(cursor, made)
            key = keys[new]
            kept = connection.execute(sa.select(table.c.properties).where(table.c.user_key == key)).scalar()
            if gone.properties is not None:
                both = to_json({**mapping(gone.properties), **mapping(kept)})
                connection.execute(table.update().where(table.c.user_key == key).values(properties=both))
            moved = connection.execute(events.update().where(events.c.user_key == gone.user_key).values(user_key=key)).rowcount
            self._merge_seen(connection, gone.user_key, key)
            connection.execute(answers.update().where(answers.c.user_id == old).values(user_id=new))
            connection.execute(table.delete().where(table.c.user_key == gone.user_key))
        return int(moved)

    def _merge_seen(self, connection: sa.Connection, source: int, target: int) -> None:
        cursor = connection.connection.cursor()
        rows = connection.execute(sa.select(seen).where(seen.c.user_key == source)).all()
        pairs = [(target, row.item_key, row.kind) for row in rows]
        changes: Counter[tuple[int, int, int]] = Counter()
        put = []
        for row, pair, there in zip(rows, pairs, self.db.seen_of(cursor, pairs), strict=True):
            mine, theirs = _times(row[3:]), _times(there or ())
            both = tally.newest(mine + theirs)
            put.append(seen_row(pair, both))
            note(changes, pair, mine + theirs, both)
        connection.execute(seen.delete().where(seen.c.user_key == source))
        self.db.put_seen(cursor, put)
        self.ingest.log(cursor, changes)

    def erase_user(self, user_id: str) -> Mapping[str, int]:
        name = id_bytes(user_id, "user_id")
        with self.db.writing(seconds=None) as connection:
            cursor = connection.connection.cursor()
            key = connection.execute(sa.select(table.c.user_key).where(table.c.user_id == name)).scalar()
            gone: dict[str, int] = {}
            if key is not None:
                changes: Counter[tuple[int, int, int]] = Counter()
                for row in connection.execute(sa.select(seen).where(seen.c.user_key == key)):
                    note(changes, (key, row.item_key, row.kind), _times(row[3:]), [])
                self.ingest.log(cursor, changes)
                for part in (events, seen, table):
                    gone[part.name] = connection.execute(part.delete().where(part.c.user_key == key)).rowcount
            gone["answers"] = connection.execute(answers.delete().where(answers.c.user_id == name)).rowcount
            code = salt(cursor)
            if code is None:
                code = secrets.token_bytes(32)
                connection.execute(settings.insert().values(name="erasure_salt", value=code.hex()))
            digest = erased_digest(name, code)
            gone["dead_letters"] = drop(connection, dead_letters, dead_letters.c.raw, user_id)
            mark = f"erased:{digest.hex()[:16]}"
            gone["audit"] = replace(connection, audit, audit.c.detail, user_id, mark)
            gone["jobs"] = replace(connection, jobs, jobs.c.detail, user_id, mark)
            connection.execute(erased.delete().where(erased.c.digest == digest))
            connection.execute(erased.insert().values(digest=digest))
        self.db.scrub()
        return {"events": 0, "seen": 0, "users": 0} | {part: int(n) for part, n in gone.items()}

    def erased(self, user_ids: Sequence[str]) -> list[bool]:
        with self.db.cursor() as cursor:
            code = salt(cursor)
            if code is None:
                return [False] * len(user_ids)
            digests = [erased_digest(asked_id(one), code) for one in user_ids]
            found = {
                bytes(row[0]) for row in self.db.select_in(cursor, "SELECT digest FROM erased WHERE digest IN {}", digests)
            }
        return [digest in found for digest in digests]

    def export_user(self, user_id: str) -> Mapping[str, Any]:
        name = asked_id(user_id)
        user = self.user(user_id)
        done: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            found = self.events(user_id=user_id, cursor=page, limit=10_000)  # type: ignore[attr-defined]
            done += [{field: getattr(one, field) for field in one.__slots__ if field != "user_id"} for one in found.rows]
            page = found.next
            if page is None:
                break
        with self.db.reading() as connection:
            given = [shown(row) for row in connection.execute(sa.select(answers).where(answers.c.user_id == name))]
            query = sa.select(items.c.item_id, kinds.c.name, seen.c.last).join(table, table.c.user_key == seen.c.user_key)
            query = query.join(items, items.c.item_key == seen.c.item_key).join(kinds, kinds.c.kind == seen.c.kind)
            met = connection.execute(query.where(table.c.user_id == name).order_by(seen.c.last)).all()
            letters = [
                {"time": row.time, "code": row.code, "detail": row.detail, "raw": from_json(row.raw)}
                for row in mentioning(connection, dead_letters, dead_letters.c.raw, user_id)
            ]
        return {
            "user_id": user_id,
            "properties": dict(user.properties) if user else None,
            "events": done[::-1],
            "seen": [{"item_id": bytes(row[0]).decode(), "kind": bytes(row[1]).decode(), "last": row[2]} for row in met],
            "answers": [{field: getattr(one, field) for field in one.__slots__ if field != "user_id"} for one in given],
            "dead_letters": letters,
        }


def _user(row: Any) -> User:
    return User(bytes(row.user_id).decode(), mapping(row.properties))


def _times(row: Sequence[int | None]) -> list[int]:
    return [stamp for stamp in row if stamp is not None]
