"""Events, dead letters and answers: written in groups, read by user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from tastemaker.errors import DataError
from tastemaker.store import tally
from tastemaker.store.base import Done, Event, Kind, Page, Rejected, Shown, Taken
from tastemaker.store.codec import asked_id, from_cursor, from_json, id_bytes, mapping, time_of, to_cursor, to_json
from tastemaker.store.database import SILENT_SECONDS
from tastemaker.store.ingest import checked
from tastemaker.store.names import top
from tastemaker.store.part import Part
from tastemaker.store.schema import answers, dead_letters, items, users
from tastemaker.store.schema import events as table

SCANNED = pa.schema(
    [
        ("sequence", pa.int64()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("time", pa.int64()),
        ("kind", pa.string()),
        ("value", pa.float64()),
    ]
)
_MOST_DAYS = 400
"""Days that are looked up at a time."""
FEEDBACK = pa.schema([*SCANNED, ("recommendation_id", pa.string()), ("position", pa.int64())])


class Events(Part):
    """The part of the store that holds what users did and what they were shown."""

    def add_events(self, events: Sequence[Event], rejected: Sequence[Rejected] = ()) -> Taken:
        call = checked(events, rejected)
        if not call.rows and not call.refused:
            return Taken(0, 0)
        return self._event_calls.add(call)

    def settle_events(self, events: Sequence[Event], rejected: Sequence[Rejected] = (), *, overwrite: bool) -> Taken:
        return self.ingest.settle(checked(events, rejected), overwrite=overwrite)

    def history(self, user_id: str, limit: int | None = None) -> list[Done]:
        return self.histories([user_id], limit)[0]

    def histories(self, user_ids: Sequence[str], limit: int | None = None) -> list[list[Done]]:
        with self.db.cursor(SILENT_SECONDS) as cursor:
            found = self.db.histories(cursor, [asked_id(one) for one in user_ids], limit)
            items = self.names.items(cursor, [row[1] for rows in found for row in rows])
            kinds = self.names.kinds(cursor, {row[2] for rows in found for row in rows})
        return [[Done(items[item], time, kinds[kind], value) for time, item, kind, value in reversed(rows)] for rows in found]

    def seen(self, user_ids: Sequence[str], kinds: Iterable[Kind] | None = None, since: int | None = None) -> list[set[str]]:
        with self.db.cursor(SILENT_SECONDS) as cursor:
            wanted = None if kinds is None else self.names.kind_keys(cursor, kinds)
            found = self.db.seen(cursor, [asked_id(one) for one in user_ids], wanted, since)
            items = self.names.items(cursor, [key for keys in found for key in keys])
        return [{items[key] for key in keys} for keys in found]

    def events(
        self,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        kind: Kind | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Event]:
        order = (table.c.time, table.c.sequence) if user_id is not None else (table.c.sequence,)
        query = sa.select(table, users.c.user_id, items.c.item_id).join(users, users.c.user_key == table.c.user_key)
        query = (
            query.join(items, items.c.item_key == table.c.item_key)
            .order_by(*(column.desc() for column in order))
            .limit(limit + 1)
        )
        if user_id is not None:
            known = sa.select(users.c.user_key).where(users.c.user_id == asked_id(user_id)).scalar_subquery()
            query = query.where(table.c.user_key == known)
        if item_id is not None:
            known = sa.select(items.c.item_key).where(items.c.item_id == asked_id(item_id)).scalar_subquery()
            query = query.where(table.c.item_key == known)
        if cursor is not None:
            query = query.where(sa.tuple_(*order) < sa.tuple_(*from_cursor(cursor, *[int] * len(order))))
        with self.db.reading() as connection:
            raw = connection.connection.cursor()
            if kind is not None:
                query = query.where(table.c.kind.in_(self.names.kind_keys(raw, [kind])))
            rows = connection.execute(query).all()
            kinds = self.names.kinds(raw, {row.kind for row in rows})
        found = [_event(row, kinds[row.kind]) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(found, None if last is None else to_cursor(*(last._mapping[column] for column in order)))

    def counts(self, since: int, until: int | None = None, kinds: Iterable[Kind] | None = None) -> dict[str, int]:
        keys, numbers = self.tallies(since, until, kinds)
        return dict(zip(self.item_ids(keys.tolist()), numbers.tolist(), strict=True))

    def tallies(
        self, since: int, until: int | None = None, kinds: Iterable[Kind] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        with self.db.cursor() as cursor:
            wanted = None if kinds is None else self.names.kind_keys(cursor, kinds)
            if wanted == []:
                return np.zeros(0, np.int64), np.zeros(0, np.int64)
            end = None if until is None else until // tally.HOUR
            return tally.count(self.db, cursor, since // tally.HOUR, end, wanted)

    def days_of(self, item_id: str, first: int, last: int) -> list[tuple[int, Kind, int]]:
        if first < 0 or last - first >= _MOST_DAYS:
            raise DataError(
                f"days {first}…{last}", expected=f"at most {_MOST_DAYS} of them, from 1970 on", hint="ask for fewer at a time"
            )
        with self.db.cursor() as cursor:
            found = tally.by_day(self.db, cursor, asked_id(item_id), first, last)
            names = self.names.kinds(cursor, [kind for _, kind, _ in found])
            return [(day, names[kind], n) for day, kind, n in found]

    def displaced(self, since: int) -> tuple[np.ndarray, np.ndarray]:
        with self.db.cursor() as cursor:
            return tally.displaced(self.db, cursor, since)

    def item_ids(self, keys: Sequence[int]) -> list[str]:
        with self.db.cursor() as cursor:
            found = self.names.items(cursor, keys)
        return [found[key] for key in keys]

    def scan_events(self, batch_size: int = 65_536, after: int = 0) -> Iterator[pa.RecordBatch]:
        return self._scanned(batch_size, after, SCANNED)

    def scan_feedback(self, batch_size: int = 65_536, after: int = 0) -> Iterator[pa.RecordBatch]:
        return self._scanned(batch_size, after, FEEDBACK, " AND e.recommendation_id IS NOT NULL")

    def _scanned(self, batch_size: int, after: int, schema: pa.Schema, where: str = "") -> Iterator[pa.RecordBatch]:
        more = "".join(f", e.{name}" for name in schema.names[len(SCANNED) :])
        text = self.db.sql(
            f"SELECT e.sequence, u.user_id, e.item_key, e.time, e.kind, e.value{more} FROM events AS e "
            f"JOIN users AS u ON u.user_key = e.user_key WHERE e.sequence > ?{where} ORDER BY e.sequence LIMIT ?"
        )
        while True:
            with self.db.cursor() as cursor:
                cursor.execute(text, (after, batch_size))
                rows = cursor.fetchall()
                if not rows:
                    return
                sequences, user_ids, item_keys, times, kind_keys, values, *others = zip(*rows, strict=True)
                items = self.names.items(cursor, set(item_keys))
                kinds = self.names.kinds(cursor, set(kind_keys))
            columns = [
                sequences,
                [bytes(one).decode() for one in user_ids],
                [items[key] for key in item_keys],
                times,
                [kinds[key] for key in kind_keys],
                values,
            ]
            if others:
                columns += [[bytes(one).decode() for one in others[0]], others[1]]
            yield pa.record_batch(
                [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
            )
            after = sequences[-1]

    def last_sequence(self) -> int:
        with self.db.cursor() as cursor:
            cursor.execute("SELECT value FROM settings WHERE name = 'sequence'")
            found = cursor.fetchone()
        return int(found[0]) if found else 0

    def volumes(self, after: int) -> list[tuple[int, Kind, int]]:
        text = (
            "SELECT time / 3600000000 AS hour, kind, COUNT(*) FROM events WHERE sequence > ? GROUP BY time / 3600000000, kind"
        )
        with self.db.cursor(SILENT_SECONDS) as cursor:
            cursor.execute(self.db.sql(text), (after,))
            rows = cursor.fetchall()
            kinds = self.names.kinds(cursor, {row[1] for row in rows})
        return sorted((int(hour) * 3_600_000_000, kinds[kind], int(count)) for hour, kind, count in rows)

    def refusals(self, newest: int = 10_000) -> dict[str, int]:
        late = sa.select(dead_letters.c.code).order_by(dead_letters.c.sequence.desc()).limit(newest).subquery()
        count = sa.func.count()
        query = sa.select(late.c.code, count).group_by(late.c.code).order_by(count.desc(), late.c.code)
        with self.db.reading() as connection:
            return {code: int(number) for code, number in connection.execute(query)}

    def dead_letters(self, cursor: str | None = None, limit: int = 100, code: str | None = None) -> Page[Mapping[str, Any]]:
        query = sa.select(dead_letters).order_by(dead_letters.c.sequence.desc()).limit(limit + 1)
        if code is not None:
            query = query.where(dead_letters.c.code == code)
        if cursor is not None:
            query = query.where(dead_letters.c.sequence < from_cursor(cursor, int)[0])
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        found: list[Mapping[str, Any]] = [
            {"time": row.time, "code": row.code, "detail": row.detail, "raw": from_json(row.raw)} for row in rows[:limit]
        ]
        return Page(found, to_cursor(rows[limit - 1].sequence) if len(rows) > limit else None)

    def add_answers(self, answers: Sequence[Shown]) -> None:
        if answers:
            for one in answers:
                id_bytes(one.recommendation_id, "recommendation_id")
                time_of(one.time)
            self._answer_calls.add(list(answers))

    def answer(self, recommendation_id: str) -> Shown | None:
        with self.db.reading() as connection:
            query = sa.select(answers).where(answers.c.recommendation_id == asked_id(recommendation_id))
            row = connection.execute(query).one_or_none()
        return None if row is None else shown(row)

    def scan_answers(self, batch_size: int = 10_000, after: int = 0) -> Iterator[list[tuple[int, Shown]]]:
        query = sa.select(answers).order_by(answers.c.sequence).limit(batch_size)
        while True:
            with self.db.reading() as connection:
                rows = connection.execute(query.where(answers.c.sequence > after)).all()
            if not rows:
                return
            yield [(row.sequence, shown(row)) for row in rows]
            after = rows[-1].sequence

    def commit_answers(self, calls: Sequence[list[Shown]]) -> list[None]:
        """What the group commit of answers runs."""
        rows = [
            (
                id_bytes(one.recommendation_id, "recommendation_id"),
                None if one.user_id is None else id_bytes(one.user_id, "user_id"),
                one.time,
                to_json(one.item_ids, "item_ids"),
                one.source,
                to_json(one.request, "request"),
            )
            for call in calls
            for one in call
        ]
        with self.db.writing(lazy=True, seconds=SILENT_SECONDS) as connection:
            cursor = connection.connection.cursor()
            start = top(cursor, "answers", "sequence")
            text = self.db.sql(
                "INSERT INTO answers (sequence, recommendation_id, user_id, time, item_ids, source, request) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (recommendation_id) DO NOTHING"
            )
            cursor.executemany(text, [(start + place, *row) for place, row in enumerate(rows, 1)])
        return [None] * len(calls)


def _event(row: Any, kind: str) -> Event:
    def text(value: bytes | None) -> str | None:
        return None if value is None else bytes(value).decode()

    return Event(
        bytes(row.user_id).decode(),
        bytes(row.item_id).decode(),
        row.time,
        kind,
        row.value,
        text(row.event_id),
        text(row.session_id),
        text(row.recommendation_id),
        row.position,
        mapping(row.extra),
    )


def shown(row: Any) -> Shown:
    """An answer from its row."""
    user = None if row.user_id is None else bytes(row.user_id).decode()
    return Shown(
        bytes(row.recommendation_id).decode(), user, row.time, tuple(from_json(row.item_ids)), row.source, mapping(row.request)
    )
