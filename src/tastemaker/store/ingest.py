"""Events into tables: calls checked one by one, then kept together in one transaction."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import Any

from tastemaker.errors import DataError
from tastemaker.store import tally
from tastemaker.store.base import Event, Rejected, Taken
from tastemaker.store.codec import EARLIEST, LATEST, any_to_json, finite, id_bytes, sayable, time_of, to_json
from tastemaker.store.database import SILENT_SECONDS, Database, Pair
from tastemaker.store.names import Names, top

COLUMNS = (
    "sequence",
    "user_key",
    "item_key",
    "kind",
    "time",
    "value",
    "event_id",
    "session_id",
    "recommendation_id",
    "position",
    "extra",
)
Row = tuple[bytes, bytes, bytes, int, float, bytes | None, bytes | None, bytes | None, int | None, str | None]
"""user, item, kind, time, value, event id, session, recommendation, position, extra"""


_KINDS = {name: name.encode() for name in ("view", "cart", "purchase", "rating", "like")}


@dataclass(frozen=True, slots=True)
class Call:
    """One `add_events`, checked."""

    rows: list[Row]
    refused: list[tuple[int, str, str, str]]
    """time, code, detail, raw"""


def checked(events: Iterable[Event], rejected: Iterable[Rejected]) -> Call:
    """A call as rows.

    Raises:
        DataError: an event cannot be kept as it is; none of the call is.
    """
    now = time_ns() // 1000
    refused = [(now, sayable(one.code), sayable(one.detail), any_to_json(one.raw)) for one in rejected]
    return Call([_row(one) for one in events], refused)


def _row(event: Event) -> Row:
    # Called for each event that comes in: what is right is let through here, what is not gets its words from the codec.
    position, time, value, kind = event.position, event.time, event.value, event.kind
    if position is not None and not (type(position) is int and 0 < position < 2**31):
        raise DataError(f"position {str(position)[:40]}", expected="a whole number from 1")
    return (
        id_bytes(event.user_id, "user_id"),
        id_bytes(event.item_id, "item_id"),
        _KINDS.get(kind) or id_bytes(kind, "kind"),
        time if type(time) is int and EARLIEST <= time <= LATEST else time_of(time),
        value if type(value) is float and value - value == 0 else finite(value),
        None if event.event_id is None else id_bytes(event.event_id, "event_id"),
        None if event.session_id is None else id_bytes(event.session_id, "session_id"),
        None if event.recommendation_id is None else id_bytes(event.recommendation_id, "recommendation_id"),
        position,
        to_json(event.extra, "extra") if event.extra else None,
    )


class Ingest:
    """Keeps calls; `commit` is what the group commit runs."""

    def __init__(self, db: Database, names: Names) -> None:
        self._db, self._names = db, names
        self._logged = tally.LOG_ROWS  # what others left in the log is added up at the first chance

    def commit(self, calls: Sequence[Call]) -> list[Taken]:
        """Keeps all of the calls in one transaction; how many events of each were new."""
        with self._db.writing(seconds=SILENT_SECONDS) as connection:
            cursor = connection.connection.cursor()
            fresh, taken = self._fresh(cursor, calls)
            kinds = self._names.give_kinds(cursor, {row[2] for row in fresh})
            items, _ = self._names.give_items(cursor, list({row[1] for row in fresh}))
            users, new = self._names.give_users(cursor, list({row[0] for row in fresh}))
            self.back(cursor, new)
            keyed = [(users[row[0]], items[row[1]], kinds[row[2]], *row[3:]) for row in fresh]
            self.keep(cursor, keyed)
            self._bury(cursor, [one for call in calls for one in call.refused])
        self._names.remember(items, kinds)
        return taken

    def settle(self, call: Call, *, overwrite: bool) -> Taken:
        """Keeps one event of each user, item and kind; see `Store.settle_events`."""
        rows: dict[tuple[bytes, bytes, bytes], Row] = {}
        for row in call.rows:
            if overwrite or row[:3] not in rows:
                rows[row[:3]] = row
        with self._db.writing(seconds=SILENT_SECONDS) as connection:
            cursor = connection.connection.cursor()
            kinds = self._names.give_kinds(cursor, {row[2] for row in rows.values()})
            items, _ = self._names.give_items(cursor, list({row[1] for row in rows.values()}))
            users, new = self._names.give_users(cursor, list({row[0] for row in rows.values()}))
            self.back(cursor, new)
            keyed = [(users[row[0]], items[row[1]], kinds[row[2]], *row[3:]) for row in rows.values()]
            before = self._db.seen_of(cursor, [row[:3] for row in keyed])
            if overwrite:
                self._withdraw(cursor, {row[:3]: times for row, times in zip(keyed, before, strict=True) if times is not None})
            else:
                keyed = [row for row, times in zip(keyed, before, strict=True) if times is None]
            self.keep(cursor, keyed)
            self._bury(cursor, call.refused)
        self._names.remember(items, kinds)
        return Taken(len(keyed), len(call.rows) - len(keyed))

    def _withdraw(self, cursor: Any, known: Mapping[Pair, Sequence[int | None]]) -> None:
        """Takes back all events of these pairs; within a write."""
        changes: Counter[Pair] = Counter()
        for pair, times in known.items():
            for table in ("events", "seen"):
                cursor.execute(self._db.sql(f"DELETE FROM {table} WHERE user_key = ? AND item_key = ? AND kind = ?"), pair)
            note(changes, pair, [stamp for stamp in times if stamp is not None], [])
        self.log(cursor, changes)

    def _bury(self, cursor: Any, refused: Sequence[tuple[int, str, str, str]]) -> None:
        """Keeps refused events; within a write."""
        if refused:
            start = top(cursor, "dead_letters", "sequence")
            numbered = [(start + place, *one) for place, one in enumerate(refused, 1)]
            self._db.insert(cursor, "dead_letters", ("sequence", "time", "code", "detail", "raw"), numbered)

    def _fresh(self, cursor: Any, calls: Sequence[Call]) -> tuple[list[Row], list[Taken]]:
        """Rows whose event id is new, and what became of each call."""
        ids = {row[5] for call in calls for row in call.rows if row[5] is not None}
        found = self._db.select_in(cursor, "SELECT event_id FROM events WHERE event_id IN {}", sorted(ids)) if ids else []
        known = {bytes(row[0]) for row in found}
        fresh: list[Row] = []
        taken = []
        for call in calls:
            before = len(fresh)
            for row in call.rows:
                if row[5] is None:
                    fresh.append(row)
                elif row[5] not in known:
                    known.add(row[5])
                    fresh.append(row)
            taken.append(Taken(len(fresh) - before, len(call.rows) - len(fresh) + before))
        return fresh, taken

    def keep(self, cursor: Any, rows: list[tuple[Any, ...]]) -> None:
        """Keeps events (user key, item key, kind key, time, …), in the order they come; within a write."""
        if not rows:
            return
        sequence = take_sequences(self._db, cursor, len(rows))
        self._db.insert(cursor, "events", COLUMNS, [(sequence + place, *row) for place, row in enumerate(rows)])
        times: dict[Pair, list[int]] = {}
        for row in rows:
            times.setdefault(row[:3], []).append(row[3])
        pairs = sorted(times)
        newest = [tally.newest(times[pair]) for pair in pairs]
        known = self._db.new_seen(cursor, [seen_row(*one) for one in zip(pairs, newest, strict=True)])
        before: list[list[int]] = [[] for _ in pairs]
        put = []
        for place, found in zip(known, self._db.seen_of(cursor, [pairs[place] for place in known]), strict=True):
            before[place] = [stamp for stamp in found or () if stamp is not None]
            newest[place] = tally.newest(before[place] + newest[place])
            put.append(seen_row(pairs[place], newest[place]))
        self._db.put_seen(cursor, put)
        changes: Counter[Pair] = Counter()
        for pair, old, new in zip(pairs, before, newest, strict=True):
            note(changes, pair, old, new)
        self.log(cursor, changes)

    def back(self, cursor: Any, user_ids: Sequence[bytes]) -> None:
        """These are users now: they are no longer told to be erased; within a write."""
        if user_ids and (key := salt(cursor)):
            digests = [(erased_digest(one, key),) for one in user_ids]
            cursor.executemany(self._db.sql("DELETE FROM erased WHERE digest = ?"), digests)

    def log(self, cursor: Any, changes: Counter[Pair]) -> None:
        """Keeps changes of tallies, (hour, item, kind) -> how many more; within a write."""
        rows = [(*key, n) for key, n in changes.items() if n]
        self._db.insert(cursor, "tally_log", ("hour", "item_key", "kind", "n"), rows)
        self._logged += len(rows)
        if self._logged >= tally.LOG_ROWS:
            tally.fold(self._db, cursor)
            self._logged = 0


def seen_row(pair: Pair, times: Sequence[int]) -> tuple[Any, ...]:
    """A row of `seen`."""
    return (*pair, *times, *[None] * (tally.PER_USER - len(times)))


def note(changes: Counter[Pair], pair: Pair, before: Sequence[int], after: Sequence[int]) -> None:
    """Adds to `changes` what it means for the tallies that the newest times of a pair are others now."""
    for stamp in after:
        changes[stamp // tally.HOUR, pair[1], pair[2]] += 1
    for stamp in before:
        changes[stamp // tally.HOUR, pair[1], pair[2]] -= 1


def take_sequences(db: Database, cursor: Any, number: int) -> int:
    """The first of `number` sequences in a row, none of which was ever given; within a write."""
    cursor.execute("SELECT value FROM settings WHERE name = 'sequence'")
    found = cursor.fetchone()
    last = int(found[0]) if found else 0
    cursor.execute(
        db.sql(
            "INSERT INTO settings (name, value) VALUES ('sequence', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        ),
        (str(last + number),),
    )
    return last + 1


def salt(cursor: Any) -> bytes | None:
    """What hashes of erased ids are keyed with; None while nobody was erased."""
    cursor.execute("SELECT value FROM settings WHERE name = 'erasure_salt'")
    found = cursor.fetchone()
    return bytes.fromhex(found[0]) if found else None


def erased_digest(user_id: bytes, key: bytes) -> bytes:
    """The hash that is kept of an erased id."""
    return hashlib.blake2b(user_id, key=key, digest_size=32).digest()
