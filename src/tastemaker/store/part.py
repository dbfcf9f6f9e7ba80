"""What every part of the store works with."""

from __future__ import annotations

from tastemaker.store.base import Shown, Taken
from tastemaker.store.database import Database
from tastemaker.store.group import Group
from tastemaker.store.ingest import Call, Ingest
from tastemaker.store.names import Names


class Part:
    """Base of the parts that `SqlStore` is put together from."""

    db: Database
    names: Names
    ingest: Ingest
    _event_calls: Group[Call, Taken]
    _answer_calls: Group[list[Shown], None]
