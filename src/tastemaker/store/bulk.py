"""Whole tables of events at once: keys and sums by NumPy, rows written in the order of their keys, indexes made last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from datetime import time as clock
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.errors import DataError, UserError
from tastemaker.store import tally
from tastemaker.store.base import MAX_ID_BYTES, Item, Store, User
from tastemaker.store.codec import EARLIEST, LATEST
from tastemaker.store.ingest import COLUMNS, take_sequences
from tastemaker.store.schema import events
from tastemaker.store.sql import SqlStore

_ROWS = 100_000


def load_events(store: SqlStore, table: pa.Table, *, append: bool = False) -> int:
    """Adds events (user_id, item_id, and time in µs, kind, value where there are) in order of time; all of them or none.

    Events without times are all of time 0, those without kinds views. Into a store without events this is many times faster than
    `add_events`, and the state afterwards is the same. `append` says that a store with events may get more: the same table twice is
    in it twice.

    Raises:
        DataError: an id or a time that no event can have.
        UserError: the store holds events already and `append` is not given.
    """
    (user_ids, user), (item_ids, item), (kind_names, kind) = (
        _codes(table, name, default) for name, default in (("user_id", None), ("item_id", None), ("kind", "view"))
    )
    times, values = _times(table), _values(table)
    order = np.argsort(times, kind="stable")
    with store.db.writing(seconds=None) as connection:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM (SELECT 1 FROM seen LIMIT 1) AS first_rows")
        empty = cursor.fetchone()[0] == 0
        if not empty and not append:
            raise UserError(
                f"{store.url} holds events already", expected="a store without events", hint="--append adds to them"
            )
        user_keys, new = store.names.give_users(cursor, user_ids)
        item_keys, _ = store.names.give_items(cursor, item_ids)
        kind_keys = store.names.give_kinds(cursor, kind_names)
        store.ingest.back(cursor, new)
        columns = [
            _keys(user_keys, user_ids)[user],
            _keys(item_keys, item_ids)[item],
            _keys(kind_keys, kind_names)[kind],
            times,
            values,
        ]
        columns = [column[order] for column in columns]
        if empty:
            _fill(store, connection, columns)
        else:
            for rows in _stretches(columns):
                store.ingest.keep(cursor, [(*row, None, None, None, None, None) for row in rows])
    store.names.remember(item_keys, kind_keys)
    return len(table)


def load_items(store: Store, table: pa.Table) -> int:
    """Puts items: `item_id`, `category` or `categories` (a text or a list), every other column a property. How many."""
    names = [name for name in ("categories", "category") if name in table.column_names][:1]
    done = 0
    for rows in _row_batches(table):
        items = []
        for row in rows:
            name = str(row.pop("item_id"))
            found = row.pop(names[0], None) if names else None
            labels = () if found is None else tuple(map(str, found)) if isinstance(found, list) else (str(found),)
            items.append(Item(name, _properties(row), labels))
        store.put_items(items)
        done += len(items)
    return done


def load_users(store: Store, table: pa.Table) -> int:
    """Puts users: `user_id`, every other column a property. How many."""
    done = 0
    for rows in _row_batches(table):
        store.put_users([User(str(row.pop("user_id")), _properties(row)) for row in rows])
        done += len(rows)
    return done


def _row_batches(table: pa.Table) -> Iterator[list[dict[str, Any]]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield batch.to_pylist()


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a row: nulls and NaN are left out, times become RFC 3339 text."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, date | clock):
            found[name] = value.isoformat()
        elif isinstance(value, Decimal):
            found[name] = float(value)
        elif value is not None and value == value and not isinstance(value, bytes):
            found[name] = value
    return found


def _fill(store: SqlStore, connection: Any, columns: Sequence[np.ndarray]) -> None:
    cursor = connection.connection.cursor()
    for index in sorted(events.indexes, key=lambda one: str(one.name)):
        index.drop(connection)
    sequence = take_sequences(store.db, cursor, len(columns[0]))
    numbered = [np.arange(sequence, sequence + len(columns[0])), *columns]
    for rows in _stretches(numbered):
        store.db.insert(cursor, "events", COLUMNS[:6], rows)
    for index in sorted(events.indexes, key=lambda one: str(one.name)):
        index.create(connection)
    users, items, kinds, times, _ = columns
    order = np.lexsort((times, kinds, items, users))
    users, items, kinds, times = (column[order] for column in (users, items, kinds, times))
    same = (users[1:] == users[:-1]) & (items[1:] == items[:-1]) & (kinds[1:] == kinds[:-1])
    ends = np.flatnonzero(np.append(~same, True))
    lengths = np.diff(ends, prepend=-1)
    newest = [_or_none(times, ends - back, lengths > back) for back in range(tally.PER_USER)]
    for rows in _stretches([users[ends], items[ends], kinds[ends], *newest]):
        store.db.insert(cursor, "seen", ("user_key", "item_key", "kind", "last", "second", "third"), rows)
    counted = np.concatenate([(ends - back)[lengths > back] for back in range(tally.PER_USER)])
    _fill_tallies(store, cursor, times[counted] // tally.HOUR, items[counted], kinds[counted])


def _fill_tallies(store: SqlStore, cursor: Any, hours: np.ndarray, items: np.ndarray, kinds: np.ndarray) -> None:
    oldest = (int(hours.max()) - tally.HOURS_KEPT) // 24 * 24 if len(hours) else 0
    tally.keep_hours_from(store.db, cursor, oldest)
    for level, width in enumerate(tally.WIDTHS):
        kept = hours >= oldest if level == 0 else np.ones(len(hours), bool)
        buckets, item, kind = hours[kept] // width, items[kept], kinds[kept]
        order = np.lexsort((kind, item, buckets))
        buckets, item, kind = buckets[order], item[order], kind[order]
        same = (buckets[1:] == buckets[:-1]) & (item[1:] == item[:-1]) & (kind[1:] == kind[:-1])
        ends = np.flatnonzero(np.append(~same, True)) if len(order) else np.zeros(0, np.int64)
        columns = [np.full(len(ends), level), buckets[ends], item[ends], kind[ends], np.diff(ends, prepend=-1)]
        for rows in _stretches(columns):
            store.db.insert(cursor, "tallies", ("level", "bucket", "item_key", "kind", "n"), rows)


def _or_none(times: np.ndarray, places: np.ndarray, there: np.ndarray) -> np.ndarray:
    found = np.full(len(places), None, dtype=object)
    found[there] = times[places[there]]
    return found


def _stretches(columns: Sequence[np.ndarray]) -> Iterator[list[tuple[Any, ...]]]:
    for start in range(0, len(columns[0]), _ROWS):
        yield list(zip(*(column[start : start + _ROWS].tolist() for column in columns), strict=True))


def _codes(table: pa.Table, name: str, default: str | None) -> tuple[list[bytes], np.ndarray]:
    """The different ids of a column and the place of each row's among them."""
    if name not in table.column_names:
        if default is None:
            raise DataError(f"columns {', '.join(table.column_names)}", expected=f"a column {name}")
        return [default.encode()], np.zeros(len(table), np.int64)
    column = table[name].cast(pa.string())
    if column.null_count:
        if default is None:
            raise DataError(f"{column.null_count} rows without {name}", expected="one in each row")
        column = pc.fill_null(column, default)
    encoded = column.combine_chunks().dictionary_encode()
    encoded = pa.chunked_array([encoded]).combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    lengths = pc.binary_length(encoded.dictionary)
    if len(lengths) and (pc.min(lengths).as_py() < 1 or pc.max(lengths).as_py() > MAX_ID_BYTES):
        raise DataError(
            f"a {name} of {pc.min(lengths).as_py()} or {pc.max(lengths).as_py()} bytes", expected=f"1 to {MAX_ID_BYTES}"
        )
    return encoded.dictionary.cast(pa.binary()).to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _keys(known: dict[bytes, int], names: Sequence[bytes]) -> np.ndarray:
    return np.array([known[name] for name in names], dtype=np.int64)


def _times(table: pa.Table) -> np.ndarray:
    if "time" not in table.column_names:
        return np.zeros(len(table), np.int64)
    column = table["time"]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    times = np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy())
    if len(times) and not (times.min() >= EARLIEST and times.max() <= LATEST):
        raise DataError(
            f"times from {times.min()} to {times.max()}", expected="µs since 1970 UTC, between the years 1 and 9999"
        )
    return times


def _values(table: pa.Table) -> np.ndarray:
    if "value" not in table.column_names:
        return np.ones(len(table))
    values = np.asarray(pc.fill_null(table["value"].cast(pa.float64()), 1.0).to_numpy())
    if not np.isfinite(values).all():
        raise DataError("values that are NaN or infinite", expected="finite numbers")
    return values
