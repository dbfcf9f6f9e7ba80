"""Snapshot: a store's events, items and users as files, so that a run that is killed goes on with the very data it began with.

The folder has the shape that `data import` writes. Users erased from the store are never in it: where one was erased since it was taken,
it is taken anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tastemaker.data.config import Columns
from tastemaker.data.properties import item_columns, user_columns
from tastemaker.errors import DataError
from tastemaker.experiment.config import Config
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.store.base import Item, Page, Store, User, meant

T = TypeVar("T")
C = TypeVar("C", Config, StageConfig)

KINDS = 100
"""Kinds of behaviour kept apart, the first that were met and those a config names; further ones become "other": senders choose their names."""
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


def exported(store: Store, folder: Path) -> int:
    """Writes a store's events, items and users into a folder as `data import` would; the sequence of the newest event.

    Raises:
        DataError: the store has no events.
    """
    facts = _read(folder)
    if facts is None or _any_erased(folder, store):
        shutil.rmtree(folder, ignore_errors=True)
        facts = _take(store, folder, set())
    return int(facts["sequence"])


def learned_from(config: C, store: Store | None, folder: Path, resuming: bool) -> tuple[C, dict[str, Any], bool]:
    """What a run learns from: the config, over the snapshot of a store if there is one, what the report says of it, and whether to go on.

    A checkpoint goes with its data: where the snapshot had to be taken anew, training begins anew.
    """
    if store is None:
        return config, {}, resuming
    data = taken(config, store, folder)
    return data.config, {"store_sequence": data.sequence}, resuming and not data.fresh


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
        for whole in store.scan_events():
            batch = meant(whole, named)
            if len(whole):
                sequence = max(sequence, pc.max(whole.column("sequence")).as_py())
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
            rows += len(batch)
    if not rows:
        raise DataError("a store without events", expected="events to learn from", hint="`tastemaker store import` brings some")
    items = [item for item in _items(store) if item.item_id in met]
    if items:
        pq.write_table(item_columns(items), part / _ITEMS, compression="zstd")
    users = [user for user in _users(store) if user.properties]
    if users:
        pq.write_table(user_columns(users), part / _USERS, compression="zstd")
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
