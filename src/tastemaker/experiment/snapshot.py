"""Snapshot: a store's events, items and users as files, so that a run that is killed goes on with the very data it began with.

The folder has the shape that `data import` writes. Users erased from the store are never in it: where one was erased since it was taken,
it is taken anew.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tastemaker.data.config import Columns
from tastemaker.errors import DataError
from tastemaker.experiment.config import Config
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.store.base import Item, Page, Store, User

T = TypeVar("T")
C = TypeVar("C", Config, StageConfig)

KINDS = 100
"""Kinds of behaviour kept apart, the first that were met and those a config names; further ones become "other": senders choose their names."""
PROPERTIES = 64
"""Columns of the catalogue: the properties that most items have."""

_FACTS, _EVENTS, _ITEMS, _USERS = "snapshot.json", "events.parquet", "items.parquet", "users.parquet"
_COLUMNS = Columns(user="user_id", item="item_id", time="time", value="value", kind="kind")
_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "time": pa.timestamp("us", "UTC"),
        "value": pa.float64(),
        "kind": pa.string(),
    }
)
_NAME = re.compile(r"[\w][\w .:-]{0,63}")
_PAGE = 5000


@dataclass(frozen=True)
class Snapshot(Generic[C]):
    """What a run learns from."""

    config: C
    """the run's config with `[data]` pointing at the files"""
    sequence: int
    """of the newest event in it"""
    fresh: bool
    """whether it was taken now; else an earlier one was found"""


def taken(config: C, store: Store, folder: Path) -> Snapshot[C]:
    """The snapshot in `folder`, made where there is none, or none that may still be used.

    Raises:
        DataError: the store has no events.
    """
    facts = _read(folder)
    fresh = facts is None or _any_erased(folder, store)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        facts = _take(store, folder, set(config.data.kinds))
    assert facts is not None
    items, users = (str(folder.resolve() / name) if (folder / name).exists() else None for name in (_ITEMS, _USERS))
    files = {"events": str(folder.resolve() / _EVENTS), "items": items, "users": users, "columns": _COLUMNS}
    return Snapshot(replace(config, data=config.data.model_copy(update=files)), facts["sequence"], fresh)


def erased_among(store: Store, user_ids: Iterable[str]) -> int:
    """How many of the ids were erased from the store."""
    ids, found = list(user_ids), 0
    for start in range(0, len(ids), _PAGE):
        found += sum(store.erased(ids[start : start + _PAGE]))
    return found


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts


def _any_erased(folder: Path, store: Store) -> bool:
    users = pc.unique(pq.read_table(folder / _EVENTS, columns=["user_id"])["user_id"])
    return erased_among(store, users.to_pylist()) > 0


def _take(store: Store, folder: Path, named: set[str]) -> dict[str, Any]:
    """Writes beside the place and renames: half a snapshot is never found."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    kinds, met, sequence, rows = set(named), set[str](), 0, 0
    with pq.ParquetWriter(part / _EVENTS, _SCHEMA, compression="zstd") as writer:
        for batch in store.scan_events():
            if not len(batch):
                continue
            found = batch.column("kind").to_pylist()
            for kind in dict.fromkeys(found):
                if len(kinds) < KINDS + len(named):
                    kinds.add(kind)
            columns = {name: batch.column(name).cast(_SCHEMA.field(name).type) for name in _SCHEMA.names if name != "kind"}
            columns["kind"] = pa.array([kind if kind in kinds else "other" for kind in found])
            writer.write_table(pa.table(columns, schema=_SCHEMA))
            met.update(pc.unique(batch.column("item_id")).to_pylist())
            sequence = max(sequence, pc.max(batch.column("sequence")).as_py())
            rows += len(batch)
    if not rows:
        raise DataError("a store without events", expected="events to learn from", hint="`tastemaker store import` brings some")
    items = [item for item in _items(store) if item.item_id in met]
    if items:
        pq.write_table(_table(items), part / _ITEMS, compression="zstd")
    users = [user for user in _users(store) if user.properties]
    if users:
        pq.write_table(_user_table(users), part / _USERS, compression="zstd")
    facts = {"sequence": sequence, "events": rows, "items": len(items), "users": len(users)}
    (part / _FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    part.rename(folder)
    return facts


def _items(store: Store) -> Iterable[Item]:
    return _all(store.items)


def _users(store: Store) -> Iterable[User]:
    return _all(store.users)


def _all(pages: Callable[[str | None, int], Page[T]]) -> Iterator[T]:
    cursor: str | None = None
    while True:
        page = pages(cursor, _PAGE)
        yield from page.rows
        cursor = page.next
        if cursor is None:
            return


def _table(items: list[Item]) -> pa.Table:
    """A row an item: its id, categories, and the properties that most have."""
    columns: dict[str, pa.Array] = {"item_id": pa.array([item.item_id for item in items], pa.string())}
    columns["categories"] = pa.array([list(item.categories) for item in items], pa.list_(pa.string()))
    return pa.table(columns | _properties([item.properties for item in items], set(columns)))


def _user_table(users: list[User]) -> pa.Table:
    """A row a user: the id, and the properties that most have."""
    columns: dict[str, pa.Array] = {"user_id": pa.array([user.user_id for user in users], pa.string())}
    return pa.table(columns | _properties([user.properties for user in users], set(columns)))


def _properties(rows: list[Mapping[str, Any]], taken: set[str]) -> dict[str, pa.Array]:
    """A column for each of the properties that most rows have, but for names taken; names differ by more than case, as DuckDB wants."""
    columns: dict[str, pa.Array] = {}
    for key, _count in Counter(key for row in rows for key in row if _NAME.fullmatch(key)).most_common():
        if key.lower() not in taken and len(columns) < PROPERTIES:
            taken.add(key.lower())
            columns[key] = _column([row.get(key) for row in rows])
    return columns


def _column(values: list[Any]) -> pa.Array:
    """One type for a property whose values need not have one: truth, numbers, lists of text, else text."""
    real = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in real):
        return pa.array(values, pa.bool_())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in real):
        return pa.array([_number(value) for value in values], pa.float64())
    if any(isinstance(value, list) for value in real):
        return pa.array([None if value is None else _list(value) for value in values], pa.list_(pa.string()))
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _number(value: int | float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:  # JSON's integers have no end
        return None


def _list(value: Any) -> list[str]:
    return [_text(one) for one in value] if isinstance(value, list) else [_text(value)]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(dict(value) if isinstance(value, Mapping) else value)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
