"""`SqlStore`: the store in SQLite or PostgreSQL.

```
SqlStore ─┬─ events.py     histories, seen, counts, answers ◀── group.py (calls committed together) ◀── ingest.py (events into tables)
          ├─ catalogue.py  items and their changes
          ├─ people.py     users: merge, erase, export
          ├─ control.py    keys, models, jobs, audit, settings
          ├─ scenarios.py  rules of lists: drafts, versions, which is in force
          └─ upkeep.py     retention, verify, statistics, backup
   on database.py (transactions, errors) ◀── sqlite.py, postgres.py: statements that differ
```
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from tastemaker.errors import StoreError
from tastemaker.store.catalogue import Catalogue
from tastemaker.store.control import Control
from tastemaker.store.database import Database, without_password
from tastemaker.store.events import Events
from tastemaker.store.group import Group
from tastemaker.store.ingest import Ingest
from tastemaker.store.names import Names
from tastemaker.store.people import People
from tastemaker.store.scenarios import Scenarios
from tastemaker.store.upkeep import Upkeep

_GROUP = 256
"""Calls in one transaction at most"""


class SqlStore(Events, Catalogue, People, Control, Scenarios, Upkeep):
    """See `tastemaker.store.base.Store`, which says what each method promises."""

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        self.url = without_password(url)
        self.db = connect(url)
        try:
            if not migrate:
                self.db.must_exist()
            self.db.prepare(migrate=migrate)
        except BaseException:
            self.db.close()
            raise
        self.names = Names(self.db)
        self.ingest = Ingest(self.db, self.names)
        self._event_calls = Group(self.ingest.commit, _GROUP)
        self._answer_calls = Group(self.commit_answers, _GROUP)

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def connect(url: str) -> Database:
    """The database at a URL, tables or not.

    Raises:
        StoreError: the URL is none of `sqlite:///path`, a path, `memory:` and `postgresql://…`.
    """
    scheme, mark, rest = url.partition("://")
    if mark and scheme in ("postgresql", "postgres"):
        from tastemaker.store.postgres import Postgres

        return Postgres(f"postgresql://{rest}")
    from tastemaker.store.sqlite import SQLite

    if url in ("memory:", "sqlite://"):
        return SQLite(None)
    if mark and scheme != "sqlite":
        raise StoreError(
            f"the URL {without_password(url)!r}", expected="sqlite:///path, a path, memory: or postgresql://user@host/database"
        )
    path = rest.removeprefix("/") if mark else url
    if not path:
        raise StoreError(f"the URL {url!r}", expected="sqlite:///path: three slashes, four for an absolute path")
    return SQLite(Path(path).expanduser())
