"""Tables of every version open in this one."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tastemaker.store import open_store
from tastemaker.store.base import Done, Item, User
from tastemaker.store.migrations import revisions
from tastemaker.store.schema import HEAD, metadata

FIRST = Path(__file__).with_name("first_version.sql")
"""A dump of a SQLite store as the first version of the tables had it."""


def test_the_head_is_the_last_revision_and_each_follows_one():
    assert revisions()[0] == HEAD
    assert revisions()[::-1] == [f"{n:04}" for n in range(1, len(revisions()) + 1)]


def test_the_migrations_make_the_tables_of_the_schema(store):
    with store.db.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [one for one in compare_metadata(context, metadata) if "alembic_version" not in str(one)]
    assert found == []


def test_a_store_of_the_first_version_opens_and_works(tmp_path):
    path = tmp_path / "first.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    connection.close()
    with open_store(str(path)) as store:
        assert store.verify()
        assert store.history("anna") == [
            Done("a", 1_700_000_000_000_000, "view", 1.0),
            Done("b", 1_700_000_000_000_001, "buy", 2.5),
        ]
        assert store.seen(["anna", "bob"]) == [{"a", "b"}, {"a"}]
        assert store.counts(0) == {"a": 2, "b": 1}
        assert store.item("a") == Item("a", {"title": "A"}, ("x",)) and store.user("anna") == User("anna", {"age": 30})
        assert store.answer("r").item_ids == ("a", "b") and store.promoted().name == "m" and store.erased(["carl"]) == [True]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    connection.close()


def test_many_processes_may_make_the_tables_at_once(backend, tmp_path, request):
    if backend == "sqlite":
        url = str(tmp_path / "new.db")
    else:
        cluster = request.getfixturevalue("cluster")
        engine = sa.create_engine(cluster.url().replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE DATABASE fresh"))
        engine.dispose()
        url = cluster.url("fresh")
    with ThreadPoolExecutor(5) as threads:
        stores = list(threads.map(lambda _: open_store(url), range(5)))
    for store in stores:
        assert store.last_sequence() == 0
        store.close()


def test_other_tables_in_the_database_are_left_alone(cluster):
    engine = sa.create_engine(cluster.url().replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE shared"))
    engine.dispose()
    theirs = sa.create_engine(cluster.url("shared").replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with theirs.connect() as connection:
        connection.execute(sa.text("CREATE TABLE public.events (mine int)"))
        connection.execute(sa.text("INSERT INTO public.events VALUES (42)"))
        with open_store(cluster.url("shared")) as store:
            assert store.last_sequence() == 0
        assert connection.execute(sa.text("SELECT mine FROM public.events")).scalar() == 42
    theirs.dispose()


def test_a_file_with_other_tables_is_not_taken_over(tmp_path):
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE events (mine INTEGER)")
    connection.close()
    from tastemaker.errors import StoreError

    with pytest.raises(StoreError, match="other tables"):
        open_store(str(tmp_path / "theirs.db"))
