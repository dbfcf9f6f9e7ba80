"""Backups while the store is in use, and restoring them; both are verified before they count."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastemaker.errors import StoreError, UserError

if TYPE_CHECKING:
    from tastemaker.store.postgres import Postgres
    from tastemaker.store.sqlite import SQLite

COUNTED = ("events", "users", "items", "answers", "keys", "models")
LATER = ("scenarios", "scenario_versions")
"""Tables that copies of older versions may lack."""


def save(db: SQLite, path: Path) -> Mapping[str, Any]:
    """A copy of a SQLite store as one file, and `path.json` with its counts and checksum."""
    part = _place(path)
    with db.translated(), db.engine.connect() as connection:
        source = connection.connection.driver_connection
        target = sqlite3.connect(part)
        try:
            source.backup(target)  # type: ignore[union-attr]
            target.execute("PRAGMA journal_mode = DELETE")
            facts = _whole(target, str(part))
        finally:
            target.close()
    return _finish(part, path, {"kind": "sqlite", **facts})


def dump(db: Postgres, path: Path) -> Mapping[str, Any]:
    """A dump of a PostgreSQL store by pg_dump, and `path.json` with its checksum."""
    part = _place(path)
    _run("pg_dump", db, "--format=custom", f"--schema={db.schema}", f"--file={part}")
    return _finish(part, path, {"kind": "postgresql"})


def restore(path: Path, url: str, *, replace: bool = False) -> Mapping[str, Any]:
    """Puts a backup in place of the store at a URL and verifies it; the store must be empty, not there, or `replace` given.

    No service may use the store meanwhile.

    Raises:
        UserError: there is no such backup, or the store is not empty.
        StoreError: the backup is damaged; the store is then as it was.
    """
    from tastemaker.store.base import open_store
    from tastemaker.store.sql import connect

    facts = _checked(path)
    db = connect(url)
    try:
        if db.dialect != facts["kind"]:
            raise UserError(f"a backup of {facts['kind']}", expected=f"one of {db.dialect}, for {db.name}")
        if db.dialect == "sqlite":
            _put_file(path, db.path, replace=replace)  # type: ignore[attr-defined]
        else:
            _put_dump(path, db, replace=replace)  # type: ignore[arg-type]
    finally:
        db.close()
    with open_store(url) as store:
        return {**facts, **store.verify()}


def _place(path: Path) -> Path:
    if path.exists():
        raise UserError(f"{str(path)!r} is there already", expected="a new file", hint="name another, or remove it")
    if not path.parent.is_dir():
        raise UserError(f"no folder {str(path.parent)!r}", expected="a file in a folder that is there")
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    return part


def _whole(connection: sqlite3.Connection, name: str) -> dict[str, Any]:
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        tables = (*COUNTED, *(table for table in LATER if table in there))
        counts = {table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables}
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{name} is damaged: {error}") from None
    if found != "ok":
        raise StoreError(f"{name} is damaged: {found}")
    return counts


def _finish(part: Path, path: Path, facts: dict[str, Any]) -> Mapping[str, Any]:
    facts |= {"bytes": part.stat().st_size, "sha256": _digest(part)}
    _sync(part)
    beside = path.with_name(path.name + ".json")
    beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    part.rename(path)
    _sync(beside)
    _sync(path.parent)
    return {"path": str(path), **facts}


def _checked(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name + ".json")
    if not path.is_file() or not beside.is_file():
        raise UserError(
            f"no backup {str(path)!r}", expected=f"the file, and {beside.name} beside it, as `store backup` writes them"
        )
    try:
        facts = dict(json.loads(beside.read_text(encoding="utf-8")))
        good = facts["sha256"] == _digest(path)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise StoreError(
            f"the backup {str(path)!r} is not what {beside.name} says",
            expected="the file as it was written",
            hint="take another backup",
        )
    return facts


def _put_file(path: Path, target: Path, *, replace: bool) -> None:
    if target.exists() and target.stat().st_size and not replace:
        raise UserError(
            f"{str(target)!r} is there already", expected="no store there", hint="--replace puts the backup in its place"
        )
    part = target.with_name(target.name + ".part")
    shutil.copyfile(path, part)
    with contextlib.closing(sqlite3.connect(part)) as copy:
        _whole(copy, str(path))
    _sync(part)
    if target.exists():  # nothing of the old one may be left in its log, should the machine stop between the next steps
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(target)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in ("-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    part.rename(target)
    _sync(target.parent)


def _put_dump(path: Path, db: Postgres, *, replace: bool) -> None:
    if db.has_tables() and not replace:
        raise UserError(
            f"{db.name} holds a store already", expected="no store there", hint="--replace puts the backup in its place"
        )
    clean = ["--clean", "--if-exists"] if replace else []
    _run("pg_restore", db, *clean, "--single-transaction", "--exit-on-error", "--no-owner", f"--dbname={db.address}", str(path))


def _run(program: str, db: Postgres, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise StoreError(
            f"no {program} on this machine", expected="PostgreSQL's client programs", hint="apt install postgresql-client"
        )
    target = [f"--dbname={db.address}"] if program == "pg_dump" else []
    environment = os.environ | ({"PGPASSWORD": db.password} if db.password else {})
    done = subprocess.run([found, *target, *arguments], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise StoreError(f"{program}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
