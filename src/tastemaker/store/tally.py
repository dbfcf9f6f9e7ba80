"""Tallies: how often each item was used in any window of time, without reading events.

Of each user, item and kind only the newest three events count (`seen` knows their times), whatever the window: one user, with a million
clicks, moves the count of an item by three at most, over all windows together. Counts do not depend on the order of arrival, and those
of adjoining windows add up.

Each event counts in one bucket of each level; a window is covered by few buckets, the widest that fit:

    256 days │        ████████████████████
     16 days │    ████                    ████
       1 day │  ██                            ███
      1 hour │ █                                 █▌
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tastemaker.store.base import SILENT
from tastemaker.store.database import Database

HOUR = 3_600_000_000
"""µs"""
PER_USER = 3
WIDTHS = (1, 24, 24 * 16, 24 * 256)
"""hours in a bucket of each level"""
LOG_ROWS = 20_000
"""The log is added up when it is so long: one write of a hot row instead of dozens."""
HOURS_KEPT = 9 * 24
"""Tallies by the hour are kept for so many hours; older windows begin and end at midnight UTC."""


def newest(times: list[int]) -> list[int]:
    """Those that count, newest first."""
    return sorted(times, reverse=True)[:PER_USER]


def cover(since: int, until: int | None) -> Iterator[tuple[int, int, int | None]]:
    """Buckets (level, first, end) that make up the hours [since, until); None has no end."""
    level = 0
    while True:
        width = WIDTHS[level]
        if level == len(WIDTHS) - 1:
            first, end = since // width, None if until is None else until // width
            if end is None or first < end:
                yield level, first, end
            return
        wider = WIDTHS[level + 1]
        start = -(-since // wider) * wider
        stop = None if until is None else until // wider * wider
        if stop is not None and start >= stop:
            if until is not None and since < until:
                yield level, since // width, until // width
            return
        if since < start:
            yield level, since // width, start // width
        if until is not None and stop is not None and stop < until:
            yield level, stop // width, until // width
        since, until = start, stop
        level += 1


def fold(db: Database, cursor: Any) -> None:
    """Adds the log up into the tallies and empties it; within a write."""
    for level, width in enumerate(WIDTHS):
        bucket = f"(hour - ((hour % {width}) + {width}) % {width}) / {width}"
        kept = "hour >= COALESCE((SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'hours_from'), -1000000000)"
        cursor.execute(
            f"INSERT INTO tallies (level, bucket, item_key, kind, n) SELECT {level}, {bucket}, item_key, kind, SUM(n) FROM tally_log "
            f"WHERE {kept if level == 0 else 'true'} GROUP BY 2, item_key, kind HAVING SUM(n) <> 0 "
            "ON CONFLICT (level, bucket, item_key, kind) DO UPDATE SET n = tallies.n + excluded.n"
        )
    cursor.execute("DELETE FROM tally_log")


def keep_hours_from(db: Database, cursor: Any, first: int) -> None:
    """Forgets tallies of earlier hours: they are kept by the day only from now on; within a write."""
    cursor.execute("SELECT value FROM settings WHERE name = 'hours_from'")
    found = cursor.fetchone()
    if found and int(found[0]) >= first:
        return
    cursor.execute(db.sql("DELETE FROM tallies WHERE level = 0 AND bucket < ?"), (first,))
    text = "INSERT INTO settings (name, value) VALUES ('hours_from', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    cursor.execute(db.sql(text), (str(first),))


def count(db: Database, cursor: Any, since: int, until: int | None, kinds: list[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Events in the hours [since, until): item keys int64 (items,) and how many of each, int64 (items,).

    One statement, so that it sees one state; and one row, since a driver takes and gives back the interpreter's lock for each row, a
    hundred thousand times while requests wait for it.
    """
    cursor.execute("SELECT value FROM settings WHERE name = 'hours_from'")
    found = cursor.fetchone()
    oldest = int(found[0]) if found else None
    if oldest is not None:  # older hours are kept as days only
        since = since if since >= oldest else since // 24 * 24
        until = until if until is None or until >= oldest else until // 24 * 24
    parts: list[str] = []
    values: list[int] = []
    picked = f" AND kind IN ({','.join(map(str, kinds))})" if kinds is not None else f" AND {db.without(SILENT)}"
    for level, first, end in cover(since, until):
        parts.append(
            f"SELECT item_key, n FROM tallies WHERE level = {level} AND bucket >= ?"
            + (" AND bucket < ?" if end is not None else "")
            + picked
        )
        values += [first] if end is None else [first, end]
    parts.append("SELECT item_key, n FROM tally_log WHERE hour >= ?" + (" AND hour < ?" if until is not None else "") + picked)
    values += [since] if until is None else [since, until]
    sums = f"SELECT item_key, SUM(n) AS n FROM ({' UNION ALL '.join(parts)}) AS parts GROUP BY item_key HAVING SUM(n) > 0"
    cursor.execute(db.sql(f"SELECT {db.joined.format('item_key')}, {db.joined.format('n')} FROM ({sums}) AS sums"), values)
    keys, numbers = (np.fromstring(text or "", np.int64, sep=",") for text in cursor.fetchone())
    return keys, numbers


def by_day(db: Database, cursor: Any, item_id: bytes, first: int, last: int) -> list[tuple[int, int, int]]:
    """Events of an item from one day to another, those included: day, kind and how many."""
    buckets = ", ".join(map(str, range(first, last + 1)))  # each is looked up: the index has items within days
    text = (
        f"SELECT day, kind, SUM(n) FROM (SELECT bucket AS day, kind, n FROM tallies WHERE level = 1 AND bucket IN ({buckets}) AND item_key = "
        "(SELECT item_key FROM items WHERE item_id = ?) UNION ALL SELECT hour / 24 AS day, kind, n FROM tally_log WHERE hour >= ? AND hour < ? "
        "AND item_key = (SELECT item_key FROM items WHERE item_id = ?)) AS parts GROUP BY day, kind HAVING SUM(n) > 0 ORDER BY day, kind"
    )
    cursor.execute(db.sql(text), (item_id, 24 * first, 24 * (last + 1), item_id))
    return [(int(day), int(kind), int(n)) for day, kind, n in cursor.fetchall()]


def displaced(db: Database, cursor: Any, since: int) -> tuple[np.ndarray, np.ndarray]:
    """Events before `since` that are among their user's newest three of those, but not of all: item keys and times, int64 each."""
    cursor.execute(
        db.sql("SELECT user_key, item_key, kind, last, second, third FROM seen WHERE last >= ? AND third IS NOT NULL AND ")
        + db.without(SILENT),
        (since,),
    )
    before = db.sql(
        f"SELECT time FROM events WHERE user_key = ? AND item_key = ? AND kind = ? AND time < ? ORDER BY time DESC LIMIT {PER_USER}"
    )
    keys, times = [], []
    for user, item, kind, *newest_three in cursor.fetchall():
        cursor.execute(before, (user, item, kind, since))
        for (moment,) in cursor.fetchall()[sum(one < since for one in newest_three) :]:
            keys.append(item)
            times.append(moment)
    return np.array(keys, np.int64), np.array(times, np.int64)
