"""SQLite: a file beside the service, in WAL mode; a commit is on disk when it returns."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from tastemaker.errors import StoreError
from tastemaker.store.base import SILENT, UNKNOWN_ITEM
from tastemaker.store.database import Database, Pair

PAGE_SIZE = 2048
"""An event touches a page of each of three indexes, and a commit writes whole pages: small ones are half the bytes of usual ones."""
LOG_SOFT, LOG_HARD = 32 << 20, 256 << 20
"""The write-ahead log is copied into the file beside the writers each time it grew so much; at the hard limit they wait for it."""
CACHE_WRITER, CACHE_READER = 256 << 20, 8 << 20
"""bytes at most, for each connection"""
BUSY_SECONDS = 15
OLDEST = (3, 35, 0)
"""RETURNING, UPSERT and WITHOUT ROWID as used here"""


class SQLite(Database):
    """A file; `path` None keeps the store in a temporary folder that goes with it."""

    mark = "?"
    bytes_literal = "X'{}'"
    joined = "group_concat({})"

    def __init__(self, path: Path | None) -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version}", expected=f"{'.'.join(map(str, OLDEST))} or newer")
        self._folder = tempfile.mkdtemp(prefix="tastemaker-") if path is None else None
        self.path = Path(self._folder, "store.db") if self._folder else Path(path or "")
        if not self.path.parent.is_dir():
            raise StoreError(f"no folder {str(self.path.parent)!r}", expected="a file in a folder that is there")
        url = sa.URL.create("sqlite", database=str(self.path))
        options: dict[str, Any] = {
            "poolclass": QueuePool,
            "pool_timeout": BUSY_SECONDS,
            "pool_use_lifo": True,
            "connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
        }
        engine = sa.create_engine(url, pool_size=16, max_overflow=112, **options)
        writer = sa.create_engine(url, pool_size=1, max_overflow=0, **options)  # one, so that its cache stays valid
        super().__init__(engine, "memory:" if self._folder else str(self.path), writer)
        self._setup = threading.Lock()
        self._log = Path(f"{self.path}-wal")
        self._copied_at = 0
        self._copier: threading.Thread | None = None
        event.listen(engine, "connect", lambda connection, _: self._connected(connection, CACHE_READER))
        event.listen(writer, "connect", lambda connection, _: self._connected(connection, CACHE_WRITER))

    def _connected(self, connection: sqlite3.Connection, cache: int) -> None:
        connection.isolation_level = None
        with self._setup:  # the first connection makes the file
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'OFF' if self._folder else 'FULL'}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = {-(cache >> 10)}")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 0")  # so that the size of the log tells how full it is

    def must_exist(self) -> None:
        if not self.path.is_file():
            raise StoreError(f"no file {str(self.path)!r}", expected="a store", hint="`tastemaker store import` makes one")

    def begin_write(self, connection: sqlite3.Connection, *, lazy: bool) -> None:
        if not self._folder:
            connection.execute(f"PRAGMA synchronous = {'NORMAL' if lazy else 'FULL'}")
        connection.execute("BEGIN IMMEDIATE")

    def after_write(self, connection: sqlite3.Connection) -> None:
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return
        if size > LOG_HARD:
            connection.execute("PRAGMA wal_checkpoint(RESTART)")
            self._copied_at = 0
        elif size < self._copied_at:
            self._copied_at = 0
        elif size > self._copied_at + LOG_SOFT and (self._copier is None or not self._copier.is_alive()):
            self._copied_at = size
            self._copier = threading.Thread(target=self._copy_log, name="tastemaker-checkpoint", daemon=True)
            self._copier.start()

    def _copy_log(self) -> None:
        with (
            contextlib.suppress(StoreError),
            self.cursor() as cursor,
        ):  # what hinders it hinders the next write too, which tells
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def error(self, error: BaseException) -> StoreError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return StoreError(
                f"{self.name} is locked by another process", hint="is a long write or a backup running? try again"
            )
        if "malformed" in text or "not a database" in text:
            return StoreError(f"{self.name} is damaged or no SQLite database", hint="restore it: tastemaker store restore")
        return super().error(error)

    def select_in(self, cursor: Any, text: str, values: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(values), 1024):
            part = list(values[start : start + 1024])
            room = 1 << max(len(part) - 1, 0).bit_length()  # few different texts: each is compiled once
            part += [part[-1]] * (room - len(part))
            found += cursor.execute(text.format(f"({','.join('?' * room)})"), part).fetchall()
        return found

    def histories(self, cursor: Any, user_ids: Sequence[bytes], limit: int | None) -> list[list[Any]]:
        text = (
            "SELECT time, item_key, kind, value FROM events WHERE user_key = (SELECT user_key FROM users WHERE user_id = ?) "
            f"AND {self.without(SILENT)} ORDER BY time DESC, sequence DESC LIMIT ?"
        )
        most = -1 if limit is None else limit
        return [cursor.execute(text, (user_id, most)).fetchall() for user_id in user_ids]

    def seen(self, cursor: Any, user_ids: Sequence[bytes], kinds: Sequence[int] | None, since: int | None) -> list[list[int]]:
        text = "SELECT DISTINCT item_key FROM seen WHERE user_key = (SELECT user_key FROM users WHERE user_id = ?)"
        rest: list[Any] = []
        if kinds is not None:
            text += f" AND kind IN ({','.join('?' * len(kinds))})"
            rest += kinds
        else:
            text += f" AND {self.without((UNKNOWN_ITEM,))}"
        if since is not None:
            text += " AND last >= ?"
            rest.append(since)
        return [[row[0] for row in cursor.execute(text, (user_id, *rest))] for user_id in user_ids]

    def seen_of(self, cursor: Any, pairs: Sequence[Pair]) -> list[tuple[int | None, ...] | None]:
        text = "SELECT last, second, third FROM seen WHERE user_key = ? AND item_key = ? AND kind = ?"
        return [cursor.execute(text, pair).fetchone() for pair in pairs]

    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        cursor.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})", rows)

    def new_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        text = "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return [place for place, row in enumerate(rows) if not cursor.execute(text, row).rowcount]

    def put_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        cursor.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", rows)

    def scrub(self) -> None:
        with self.cursor() as cursor:  # freed pages were overwritten (secure_delete); the log still holds them as they were
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def check(self) -> Mapping[str, Any]:
        with self.cursor() as cursor:
            found = [row[0] for row in cursor.execute("PRAGMA integrity_check(10)")]
        if found != ["ok"]:
            raise StoreError(f"{self.name} is damaged: {found[0]}", hint="restore it: tastemaker store restore")
        return {"integrity": "ok"}

    def size(self, cursor: Any) -> int:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0] - cursor.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages * cursor.execute("PRAGMA page_size").fetchone()[0])

    def backup(self, path: str) -> Mapping[str, Any]:
        from tastemaker.store.copies import save

        return save(self, Path(path))

    def close(self) -> None:
        if self._copier is not None:
            self._copier.join()
        super().close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
