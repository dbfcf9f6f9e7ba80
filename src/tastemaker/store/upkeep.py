"""Retention, integrity, figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tastemaker.errors import StoreError
from tastemaker.store import tally
from tastemaker.store.part import Part
from tastemaker.store.schema import answers, dead_letters, events, metadata

_DAY = 86_400_000_000
_STRETCH = 100_000
"""Rows looked at in one transaction, so that events go on coming in"""


class Upkeep(Part):
    """The part of the store that looks after it."""

    def retain(self, *, events_days: float | None = None, answers_days: float | None = None) -> Mapping[str, int]:
        now = time.time_ns() // 1000
        gone = {"events": 0, "dead_letters": 0, "answers": 0}
        for table, days in ((events, events_days), (dead_letters, events_days), (answers, answers_days)):
            if days is not None:
                gone[table.name] = self._older(table, now - int(days * _DAY))
        self._forget_hours(now)
        return gone

    def _older(self, table: sa.Table, before: int) -> int:
        gone, after = 0, 0
        while True:
            with self.db.writing(seconds=None) as connection:
                last = (
                    sa.select(table.c.sequence)
                    .where(table.c.sequence > after)
                    .order_by(table.c.sequence)
                    .limit(_STRETCH)
                    .subquery()
                )
                end = connection.execute(sa.select(sa.func.max(last.c.sequence))).scalar()
                if end is None:
                    return gone
                stretch = sa.and_(table.c.sequence > after, table.c.sequence <= end, table.c.time < before)
                gone += connection.execute(table.delete().where(stretch)).rowcount
                after = end

    def _forget_hours(self, now: int) -> None:
        first = (now // tally.HOUR - tally.HOURS_KEPT) // 24 * 24
        with self.db.writing(seconds=None) as connection:
            cursor = connection.connection.cursor()
            tally.fold(self.db, cursor)
            tally.keep_hours_from(self.db, cursor, first)

    def verify(self) -> Mapping[str, Any]:
        checks = dict(self.db.check())
        with self.db.cursor() as cursor:
            for name, text in _CONTRADICTIONS.items():
                cursor.execute(text)
                found = cursor.fetchone()[0]
                if found:
                    raise StoreError(f"{self.db.name} is damaged: {found} {name}", hint="restore it: tastemaker store restore")
                checks[name] = 0
        return checks

    def statistics(self) -> Mapping[str, int | float]:
        found: dict[str, int | float] = {}
        with self.db.cursor() as cursor:
            for table in metadata.sorted_tables:
                cursor.execute(f"SELECT COUNT(*) FROM {table.name}")
                found[table.name] = int(cursor.fetchone()[0])
            found["bytes"] = self.db.size(cursor)
        found["bytes_per_event"] = found["bytes"] / found["events"] if found["events"] else 0.0
        return found

    def backup(self, path: str) -> Mapping[str, Any]:
        return self.db.backup(path)


_CONTRADICTIONS = {
    "events of a user that is not there": "SELECT COUNT(*) FROM events WHERE user_key NOT IN (SELECT user_key FROM users)",
    "events of an item that is not there": "SELECT COUNT(*) FROM events WHERE item_key NOT IN (SELECT item_key FROM items)",
    "rows of seen of a user that is not there": "SELECT COUNT(*) FROM seen WHERE user_key NOT IN (SELECT user_key FROM users)",
    "models promoted besides another": "SELECT COALESCE(MAX(n) - 1, 0) FROM (SELECT COUNT(*) AS n FROM models WHERE state = 'promoted' HAVING COUNT(*) > 0) AS m",
    "scenarios with a version in force that is not there": "SELECT COUNT(*) FROM scenarios AS s WHERE in_force IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM scenario_versions AS v WHERE v.name = s.name AND v.version = s.in_force)",
    "events that the tallies miss or have too many": "SELECT (SELECT COALESCE(SUM(n), 0) FROM tallies WHERE level = 1) + "
    "(SELECT COALESCE(SUM(n), 0) FROM tally_log) - (SELECT COUNT(last) + COUNT(second) + COUNT(third) FROM seen)",
}
