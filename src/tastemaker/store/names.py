"""Small numbers for ids: items and kinds, which never go away, are remembered; users are looked up each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tastemaker.errors import StoreError
from tastemaker.store.database import Database

MOST_REMEMBERED = 2_000_000
MOST_KINDS = 10_000


class Names:
    """Ids and keys of items and kinds. What is remembered was committed, and stays true for ever."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._item_ids: dict[int, str] = {}
        self._item_keys: dict[bytes, int] = {}
        self._kind_names: dict[int, str] = {}
        self._kind_keys: dict[bytes, int] = {}

    def items(self, cursor: Any, keys: Iterable[int]) -> dict[int, str]:
        """A mapping that holds the ids of these keys (and others)."""
        known = self._item_ids
        if missing := [key for key in keys if key not in known]:
            if len(known) > MOST_REMEMBERED:
                self._item_ids = known = {}
                missing = list(keys)
            for key, name in self._db.select_in(
                cursor, "SELECT item_key, item_id FROM items WHERE item_key IN {}", list(set(missing))
            ):
                known[key] = bytes(name).decode()
        return known

    def met(self, keys: Iterable[int], ids: Iterable[str]) -> None:
        """Remembers items that were read anyway."""
        if len(self._item_ids) <= MOST_REMEMBERED:
            self._item_ids.update(zip(keys, ids, strict=True))

    def kinds(self, cursor: Any, keys: Iterable[int]) -> dict[int, str]:
        """A mapping that holds the names of these keys (and others)."""
        if any(key not in self._kind_names for key in keys):
            cursor.execute("SELECT kind, name FROM kinds")
            self._kind_names.update((key, bytes(name).decode()) for key, name in cursor.fetchall())
        return self._kind_names

    def kind_keys(self, cursor: Any, names: Iterable[str]) -> list[int]:
        """Keys of the kinds that are known."""
        wanted = [name.encode(errors="replace") for name in names]
        if any(name not in self._kind_keys for name in wanted):
            cursor.execute("SELECT kind, name FROM kinds")
            self._kind_keys.update((bytes(name), key) for key, name in cursor.fetchall())
        return [self._kind_keys[name] for name in wanted if name in self._kind_keys]

    def give_items(self, cursor: Any, wanted: Sequence[bytes]) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """Keys of all of these, and of those that are new among them; within a write. `remember` after the commit."""
        known = self._item_keys
        missing = [name for name in wanted if name not in known]
        found = {
            bytes(name): key
            for name, key in self._db.select_in(cursor, "SELECT item_id, item_key FROM items WHERE item_id IN {}", missing)
        }
        new = [name for name in missing if name not in found]
        given: dict[bytes, int] = {}
        if new:
            key, changed = top(cursor, "items", "item_key"), top(cursor, "items", "changed")
            given = {name: key + place for place, name in enumerate(new, 1)}
            rows = [(given[name], name, changed + place, False, False) for place, name in enumerate(new, 1)]
            self._db.insert(cursor, "items", ("item_key", "item_id", "changed", "hidden", "deleted"), rows)
        keys = {name: known.get(name) or found.get(name) or given[name] for name in wanted}
        return keys, given

    def give_kinds(self, cursor: Any, wanted: Iterable[bytes]) -> dict[bytes, int]:
        """Keys of all of these, new ones made; within a write."""
        if all(name in self._kind_keys for name in wanted):
            return self._kind_keys
        cursor.execute("SELECT kind, name FROM kinds")
        known = {bytes(name): key for key, name in cursor.fetchall()}
        new = [name for name in wanted if name not in known]
        if len(known) + len(new) > MOST_KINDS:
            raise StoreError(
                f"{len(known) + len(new)} kinds of events",
                expected=f"at most {MOST_KINDS}",
                hint="a kind is a short name, not an id",
            )
        start = max(known.values(), default=0)
        rows = [(start + place, name) for place, name in enumerate(new, 1)]
        if rows:
            self._db.insert(cursor, "kinds", ("kind", "name"), rows)
        return known | {name: key for key, name in rows}

    def remember(self, items: dict[bytes, int], kinds: dict[bytes, int] | None = None) -> None:
        """Called after a commit."""
        if len(self._item_keys) > MOST_REMEMBERED:
            self._item_keys = {}
        self._item_keys.update(items)
        if kinds:
            self._kind_keys.update(kinds)

    def give_users(self, cursor: Any, wanted: Sequence[bytes]) -> tuple[dict[bytes, int], list[bytes]]:
        """Keys of all of these, and which are new; within a write."""
        keys = {
            bytes(name): key
            for name, key in self._db.select_in(cursor, "SELECT user_id, user_key FROM users WHERE user_id IN {}", wanted)
        }
        new = [name for name in wanted if name not in keys]
        if new:
            key = top(cursor, "users", "user_key")
            rows = [(key + place, name) for place, name in enumerate(new, 1)]
            self._db.insert(cursor, "users", ("user_key", "user_id"), rows)
            keys.update((name, key) for key, name in rows)
        return keys, new


def top(cursor: Any, table: str, column: str) -> int:
    """The largest number given so far, 0 where there is none."""
    cursor.execute(f"SELECT COALESCE(MAX({column}), 0) FROM {table}")
    return int(cursor.fetchone()[0])
