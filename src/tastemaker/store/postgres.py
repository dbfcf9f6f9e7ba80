"""PostgreSQL, by psycopg 3: tables live in a schema of their own, so that they share a database with others."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from tastemaker.errors import MissingExtraError, StoreError
from tastemaker.store.base import SILENT, UNKNOWN_ITEM
from tastemaker.store.database import Database, Pair, without_password
from tastemaker.store.silence import Silence

SCHEMA = "tastemaker"
LOCK = 0x7461737465  # "taste": the advisory lock of whoever writes
CONNECT_SECONDS = 3
LOCK_SECONDS = 15
PING_SECONDS = 2
RESTED_SECONDS = 0.5
"""A connection that rested longer is tried before it is used: a server restarted meanwhile costs no failed request."""


class Postgres(Database):
    """A database on a server."""

    mark = "%s"
    bytes_literal = "decode('{}', 'hex')"
    joined = "string_agg(CAST({} AS TEXT), ',')"

    def __init__(self, url: str) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise MissingExtraError("psycopg", "postgres", "a store in PostgreSQL")
        try:
            parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        except (sa.exc.ArgumentError, ValueError):
            raise StoreError(
                f"the URL {without_password(url)!r}", expected="postgresql://user:password@host/database"
            ) from None
        engine = sa.create_engine(
            parsed,
            pool_size=16,
            max_overflow=16,
            pool_timeout=5,
            pool_use_lifo=True,
            connect_args={
                "autocommit": True,
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "tcp_user_timeout": 5000,
                "application_name": "tastemaker",
            },
        )
        super().__init__(engine, without_password(url))
        self.schema = SCHEMA
        self.password = parsed.password
        self.address = parsed.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
        """the URL without the password, for PostgreSQL's own programs"""
        self._silence = Silence()
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "checkout", self._ping)
        event.listen(engine, "checkin", lambda connection, record: record.info.update(rested=time.monotonic()))

    @staticmethod
    def _connected(connection: Any, record: object) -> None:
        connection.prepare_threshold = 2
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute(f"SET lock_timeout = {int(LOCK_SECONDS * 1000)}")
        connection.execute("SET idle_in_transaction_session_timeout = '10min'")
        connection.execute("SET client_min_messages = warning")

    def limited(self, connection: Any, seconds: float | None) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if seconds is None else self._silence.cut(connection.fileno(), seconds)

    def begin_write(self, connection: Any, *, lazy: bool) -> None:
        connection.execute("BEGIN")
        if lazy:
            connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")

    def prepare(self, *, migrate: bool) -> None:
        if migrate and not self.has_tables():
            with self.writing(seconds=None) as connection:
                connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        super().prepare(migrate=migrate)

    def has_tables(self) -> bool:
        """Whether there is a store in this database."""
        with self.reading() as connection:
            return sa.inspect(connection).has_schema(SCHEMA)

    def error(self, error: BaseException) -> StoreError:
        text = str(error).strip()
        if getattr(error, "sqlstate", None) == "55P03":
            return StoreError(f"{self.name} is locked by another writer", hint="is a migration running? try again")
        if getattr(error, "sqlstate", None) in (None, "57P01", "57P02", "57P03"):
            return StoreError(f"{self.name} cannot be reached: {text.splitlines()[0] if text else type(error).__name__}")
        return super().error(error)

    def select_in(self, cursor: Any, text: str, values: Sequence[Any]) -> list[Any]:
        # %b: arrays go as they are; as text each of their elements is searched for what must be quoted
        return list(cursor.execute(text.replace("IN {}", "= ANY(%b)"), (list(values),)).fetchall()) if values else []

    def histories(self, cursor: Any, user_ids: Sequence[bytes], limit: int | None) -> list[list[Any]]:
        cursor.execute(
            "SELECT asked.place, e.time, e.item_key, e.kind, e.value FROM unnest(%b::bytea[]) WITH ORDINALITY AS asked(user_id, place) "
            "JOIN users USING (user_id) CROSS JOIN LATERAL (SELECT time, sequence, item_key, kind, value FROM events "
            f"WHERE events.user_key = users.user_key AND {self.without(SILENT)} ORDER BY time DESC, sequence DESC LIMIT %s) AS e "
            "ORDER BY asked.place, e.time DESC, e.sequence DESC",
            (list(user_ids), limit),
        )
        found: list[list[Any]] = [[] for _ in user_ids]
        for place, *row in cursor:
            found[place - 1].append(row)
        return found

    def seen(self, cursor: Any, user_ids: Sequence[bytes], kinds: Sequence[int] | None, since: int | None) -> list[list[int]]:
        text = (
            "SELECT DISTINCT asked.place, seen.item_key FROM unnest(%b::bytea[]) WITH ORDINALITY AS asked(user_id, place) "
            "JOIN users USING (user_id) JOIN seen USING (user_key) WHERE true"
        )
        rest: list[Any] = []
        if kinds is not None:
            text += " AND seen.kind = ANY(%s)"
            rest.append(list(kinds))
        else:
            text += f" AND seen.{self.without((UNKNOWN_ITEM,))}"
        if since is not None:
            text += " AND seen.last >= %s"
            rest.append(since)
        found: list[list[int]] = [[] for _ in user_ids]
        for place, item in cursor.execute(text, (list(user_ids), *rest)):
            found[place - 1].append(item)
        return found

    def seen_of(self, cursor: Any, pairs: Sequence[Pair]) -> list[tuple[int | None, ...] | None]:
        users, items, kinds = (list(column) for column in zip(*pairs, strict=True)) if pairs else ([], [], [])
        cursor.execute(
            "SELECT asked.place, last, second, third FROM unnest(%b::int[], %b::int[], %b::smallint[]) WITH ORDINALITY "
            "AS asked(user_key, item_key, kind, place) JOIN seen USING (user_key, item_key, kind)",
            (users, items, kinds),
        )
        found: list[Any] = [None] * len(pairs)
        for place, *row in cursor:
            found[place - 1] = tuple(row)
        return found

    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        if len(rows) < 20:
            marks = ",".join(["(" + ",".join(["%s"] * len(columns)) + ")"] * len(rows))
            if rows:
                cursor.execute(
                    f"INSERT INTO {table} ({','.join(columns)}) VALUES {marks}", [cell for row in rows for cell in row]
                )
            return
        with cursor.copy(f"COPY {table} ({','.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def new_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        if not rows:
            return []
        cursor.execute(
            "INSERT INTO seen SELECT * FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::bigint[], %b::bigint[], %b::bigint[]) "
            "ON CONFLICT DO NOTHING RETURNING user_key, item_key, kind",
            [list(column) for column in zip(*rows, strict=True)],
        )
        new = {tuple(row) for row in cursor}
        return [place for place, row in enumerate(rows) if row[:3] not in new]

    def put_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        cursor.execute(
            "INSERT INTO seen SELECT * FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::bigint[], %b::bigint[], %b::bigint[]) "
            "ON CONFLICT (user_key, item_key, kind) DO UPDATE SET last = excluded.last, second = excluded.second, third = excluded.third",
            [list(column) for column in zip(*rows, strict=True)],
        )

    def check(self) -> Mapping[str, Any]:
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid AND relnamespace = %s::regnamespace",
                (SCHEMA,),
            )
            if cursor.fetchone()[0]:
                raise StoreError(f"{self.name} is damaged: an index is not valid", hint="restore it: tastemaker store restore")
        return {"indexes": "ok"}

    def size(self, cursor: Any) -> int:
        cursor.execute(
            "SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace",
            (SCHEMA,),
        )
        return int(cursor.fetchone()[0])

    def _ping(self, connection: Any, record: Any, proxy: object) -> None:
        """Asks a connection that was not used for a while whether it still works; the pool replaces one that does not."""
        if time.monotonic() - record.info.get("rested", math.inf) > RESTED_SECONDS:
            try:
                with self.limited(connection, PING_SECONDS):
                    connection.execute("")
            except Exception as error:
                raise sa.exc.DisconnectionError from error

    def close(self) -> None:
        self._silence.close()
        super().close()

    def backup(self, path: str) -> Mapping[str, Any]:
        from tastemaker.store.copies import dump

        return dump(self, Path(path))
