"""A database as the store uses it: pooled connections, one writer at a time, every failure a StoreError.

Drivers run in autocommit: a statement outside `writing` sees the newest commit and leaves no transaction open. `writing` is one
transaction, and only one runs at a time over all processes (SQLite's write lock, an advisory lock in PostgreSQL): keys and sequences are
given in commit order, so whoever asks for "later than n" never misses a row that was committed late.
"""

from __future__ import annotations

import contextlib
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from tastemaker.errors import StoreError
from tastemaker.store.schema import HEAD

Pair = tuple[int, int, int]
"""user, item and kind, as keys"""
SILENT_SECONDS = 10.0
"""A database that does not answer what takes milliseconds is given up after so long."""
WRITE_SECONDS = 60.0
"""And one that does not answer a write of a request's size, such as a thousand items, after so long: other writes wait for it."""
_REPLACE = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Database(ABC):
    """Base of the two; a subclass says how to connect and brings the statements that differ."""

    mark: str
    """how a parameter is written in raw SQL"""
    bytes_literal: str
    """how SQL writes bytes, as hexadecimal digits"""
    joined: str
    """how the numbers of a column become one text, with commas between them; `{}` is the column"""

    def __init__(self, engine: sa.Engine, name: str, writer: sa.Engine | None = None) -> None:
        self.engine, self.name = engine, name
        self.writer = writer or engine
        self.dialect = engine.dialect.name
        self._turn = threading.RLock()
        event.listen(self.writer, "begin", self._begin)

    # transactions

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for single statements, each of which sees the newest commit."""
        with self.translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def cursor(self, seconds: float | None = None) -> Iterator[Any]:
        """As `reading`, the driver's own cursor; a database that is silent is given up after `seconds`."""
        with self.translated():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                try:
                    with self.limited(connection.driver_connection, seconds):
                        yield cursor
                finally:
                    cursor.close()
            except Exception as error:
                if self.engine.dialect.is_disconnect(error, connection.driver_connection, None):  # type: ignore[arg-type]
                    connection.invalidate(error)
                    self.engine.dispose()  # the others are as dead
                raise
            finally:
                connection.close()

    @contextmanager
    def writing(self, *, lazy: bool = False, seconds: float | None = WRITE_SECONDS) -> Iterator[sa.Connection]:
        """The one transaction that writes; committed and on disk when the block ends, undone when it raises.

        A database that is silent is given up after `seconds`; None for what may take long.

        `lazy` leaves out the wait for the disk: the write survives a killed process, and a power cut only if the system wrote it
        out in time (a fraction of a second to seconds).
        """
        with self._turn, self.translated(), self.writer.connect() as connection:
            connection = connection.execution_options(tastemaker_write="lazy" if lazy else "durable")
            with self.limited(connection.connection.driver_connection, seconds), connection.begin():
                yield connection
            self.after_write(connection.connection.driver_connection)

    def _begin(self, connection: sa.Connection) -> None:
        mode = connection.get_execution_options().get("tastemaker_write")
        if mode:
            self.begin_write(connection.connection.driver_connection, lazy=mode == "lazy")

    def limited(self, connection: Any, seconds: float | None) -> contextlib.AbstractContextManager[None]:
        """Cuts the driver's connection when the block takes longer; what waits for it then fails. Nothing to do for a file."""
        return contextlib.nullcontext()

    @abstractmethod
    def begin_write(self, connection: Any, *, lazy: bool) -> None:
        """Opens the transaction and takes the lock."""

    def after_write(self, connection: Any) -> None:  # noqa: B027
        """Called after each commit, while the turn is still ours."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns what drivers raise into a StoreError without parameters in it, for they hold ids."""
        try:
            yield
        except exc.TimeoutError as error:
            raise StoreError(
                f"no free connection to {self.name} after {self.engine.pool.timeout():g} s",  # type: ignore[attr-defined]
                hint="too many requests at once, or a slow database",
            ) from error
        except exc.DBAPIError as error:
            raise self.error(error.orig or error) from error
        except self.engine.dialect.loaded_dbapi.Error as error:  # type: ignore[union-attr]
            raise self.error(error) from error

    def error(self, error: BaseException) -> StoreError:
        """What a driver's error means."""
        return StoreError(f"{self.name}: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}")

    # statements that the two word differently; ids are bytes, `cursor` is the driver's

    def sql(self, text: str) -> str:
        """Raw SQL with `?` for parameters, as this driver writes them."""
        return text if self.mark == "?" else text.replace("?", self.mark)

    def without(self, kinds: Sequence[str]) -> str:
        """A condition on a row's `kind`: none of these names. The names are part of the text, for there is no end to what a driver's marks take."""
        names = ", ".join(self.bytes_literal.format(name.encode().hex()) for name in kinds)
        return f"kind NOT IN (SELECT kind FROM kinds WHERE name IN ({names}))"

    def upsert(self, table: sa.Table) -> Any:
        """Insert, or replace all but the key where the key is there."""
        insert = _REPLACE[self.dialect](table)
        rest = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        return insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)

    @abstractmethod
    def select_in(self, cursor: Any, text: str, values: Sequence[Any]) -> list[Any]:
        """Rows of `text`, which ends in `IN {}`, for any number of values."""

    @abstractmethod
    def insert(self, cursor: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Many new rows at once."""

    @abstractmethod
    def histories(self, cursor: Any, user_ids: Sequence[bytes], limit: int | None) -> list[list[Any]]:
        """Of each user the newest events, newest first: time, item_key, kind, value."""

    @abstractmethod
    def seen(self, cursor: Any, user_ids: Sequence[bytes], kinds: Sequence[int] | None, since: int | None) -> list[list[int]]:
        """Item keys of each user."""

    @abstractmethod
    def seen_of(self, cursor: Any, pairs: Sequence[Pair]) -> list[tuple[int | None, ...] | None]:
        """The newest times of each pair, None where it was never seen."""

    @abstractmethod
    def new_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        """Adds rows of `seen` whose pair is new; the places of the others, which stay as they were."""

    @abstractmethod
    def put_seen(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `seen`, in place of those of the same pair."""

    # life

    def must_exist(self) -> None:  # noqa: B027
        """Raises StoreError where opening would make a new database."""

    def prepare(self, *, migrate: bool) -> None:
        """Makes or upgrades the tables.

        Raises:
            StoreError: they are newer than this version, or older and `migrate` is False.
        """
        if self._revision() == HEAD:
            return
        if not migrate:
            raise StoreError(
                f"{self.name} with tables of revision {self._revision() or 'none'}",
                expected=f"revision {HEAD}",
                hint="`tastemaker serve` and `tastemaker store import` make the tables or upgrade them",
            )
        from tastemaker.store.migrations import upgrade

        with self.writing(seconds=None) as connection:
            revision = self._revision(connection)  # another process may have been faster
            if revision != HEAD:
                upgrade(connection, revision, self.name)

    def _revision(self, connection: sa.Connection | None = None) -> str | None:
        with contextlib.nullcontext(connection) if connection is not None else self.reading() as reader:
            if not sa.inspect(reader).has_table("alembic_version"):
                return None
            found = reader.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return str(found) if found else None

    def scrub(self) -> None:  # noqa: B027
        """After an erasure: what the database keeps besides its tables (its log) forgets too, as far as it can."""

    @abstractmethod
    def check(self) -> Mapping[str, Any]:
        """Asks the database itself whether it is whole. Raises StoreError when it is not."""

    @abstractmethod
    def size(self, cursor: Any) -> int:
        """Bytes of the tables and their indexes."""

    @abstractmethod
    def backup(self, path: str) -> Mapping[str, Any]:
        """See `Store.backup`."""

    def close(self) -> None:
        """Closes all connections."""
        self.writer.dispose()
        self.engine.dispose()


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
