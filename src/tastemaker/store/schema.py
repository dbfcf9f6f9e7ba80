"""Tables, in SQLAlchemy Core; `migrations/` makes them, a test holds the two together.

| table | one row is | removed by |
|---|---|---|
| events | an event, numbered in order of arrival | retention, erasure |
| seen | a user, an item, a kind: the newest three times it happened | erasure |
| tallies, tally_log | events of an item in an hour, a day, 16 or 256 days, from `seen`; the log is what is not yet added up | - |
| users, items, kinds | a small number for each id | erasure (users) |
| answers | what was shown | retention, erasure |
| dead_letters | a refused event | retention, erasure |
| erased | the hash of an erased id | the user coming back |
| scenarios | a named set of rules: its draft, and the version in force | - |
| scenario_versions | rules as published | - |
| keys, models, jobs, audit, settings | | |

Ids are bytes (UTF-8): they may hold any character, also those that a database's text does not take, and sort by code point everywhere.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

HEAD = "0002"
"""The newest revision in `migrations/versions`."""

metadata = sa.MetaData()
_Small = sa.SmallInteger
_Int = sa.Integer
_Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only an INTEGER key is the rowid itself
_Bytes = sa.LargeBinary
_Json = sa.Text


def _table(name: str, *columns: Any, **options: Any) -> sa.Table:
    return sa.Table(name, metadata, *columns, **options)


def _column(name: str, kind: Any, *, key: bool = False, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=key, nullable=null, autoincrement=False)


events = _table(
    "events",
    _column("sequence", _Big, key=True),
    _column("user_key", _Int),
    _column("item_key", _Int),
    _column("kind", _Small),
    _column("time", _Big),
    _column("value", sa.Double),
    _column("event_id", _Bytes, null=True),
    _column("session_id", _Bytes, null=True),
    _column("recommendation_id", _Bytes, null=True),
    _column("position", _Int, null=True),
    _column("extra", _Json, null=True),
)
sa.Index(
    "events_by_user", events.c.user_key, events.c.time, events.c.sequence, events.c.item_key, events.c.kind, events.c.value
)
sa.Index("events_by_item", events.c.item_key, events.c.sequence)
sa.Index(
    "events_by_id",
    events.c.event_id,
    unique=True,
    sqlite_where=events.c.event_id.isnot(None),
    postgresql_where=events.c.event_id.isnot(None),
)
seen = _table(
    "seen",
    _column("user_key", _Int, key=True),
    _column("item_key", _Int, key=True),
    _column("kind", _Small, key=True),
    _column("last", _Big),
    _column("second", _Big, null=True),
    _column("third", _Big, null=True),
    sqlite_with_rowid=False,
)
tallies = _table(
    "tallies",
    _column("level", _Small, key=True),
    _column("bucket", _Int, key=True),
    _column("item_key", _Int, key=True),
    _column("kind", _Small, key=True),
    _column("n", _Int),
    sqlite_with_rowid=False,
)
tally_log = _table(
    "tally_log",
    _column("hour", _Int),
    _column("item_key", _Int),
    _column("kind", _Small),
    _column("n", _Int),
)
kinds = _table("kinds", _column("kind", _Small, key=True), _column("name", _Bytes))
users = _table(
    "users",
    _column("user_key", _Int, key=True),
    _column("user_id", _Bytes),
    _column("properties", _Json, null=True),
    sa.UniqueConstraint("user_id", name="users_by_id"),
)
items = _table(
    "items",
    _column("item_key", _Int, key=True),
    _column("item_id", _Bytes),
    _column("changed", _Big),
    _column("properties", _Json, null=True),
    _column("categories", _Json, null=True),
    _column("available_from", _Big, null=True),
    _column("expires_at", _Big, null=True),
    _column("hidden", sa.Boolean),
    _column("embedding", _Bytes, null=True),
    _column("deleted", sa.Boolean),
    sa.UniqueConstraint("item_id", name="items_by_id"),
    sa.UniqueConstraint("changed", name="items_by_change"),
)
answers = _table(
    "answers",
    _column("sequence", _Big, key=True),
    _column("recommendation_id", _Bytes),
    _column("user_id", _Bytes, null=True),
    _column("time", _Big),
    _column("item_ids", _Json),
    _column("source", _Json),
    _column("request", _Json),
    sa.UniqueConstraint("recommendation_id", name="answers_by_id"),
)
sa.Index("answers_by_user", answers.c.user_id)
dead_letters = _table(
    "dead_letters",
    _column("sequence", _Big, key=True),
    _column("time", _Big),
    _column("code", _Json),
    _column("detail", _Json),
    _column("raw", _Json),
)
erased = _table("erased", _column("digest", _Bytes, key=True), sqlite_with_rowid=False)
keys = _table(
    "keys",
    _column("key_id", _Json, key=True),
    _column("digest", _Bytes),
    _column("scopes", _Json),
    _column("name", _Json),
    _column("created", _Big),
    _column("revoked", _Big, null=True),
    _column("signs_users", sa.Boolean),
)
models = _table(
    "models",
    _column("name", _Json, key=True),
    _column("version", _Int, key=True),
    _column("path", _Json),
    _column("created", _Big),
    _column("state", _Json),
    _column("facts", _Json),
)
jobs = _table(
    "jobs",
    _column("job_id", _Json, key=True),
    _column("kind", _Json),
    _column("state", _Json),
    _column("created", _Big),
    _column("updated", _Big),
    _column("progress", sa.Double),
    _column("detail", _Json),
)
scenarios = _table(
    "scenarios",
    _column("name", _Json, key=True),
    _column("draft", _Json, null=True),
    _column("revision", _Big),
    _column("changed", _Big),
    _column("changed_by", _Json),
    _column("in_force", _Int, null=True),
    _column("versions", _Int),
    _column("deleted", sa.Boolean),
)
scenario_versions = _table(
    "scenario_versions",
    _column("name", _Json, key=True),
    _column("version", _Int, key=True),
    _column("rules", _Json),
    _column("published", _Big),
    _column("published_by", _Json),
    _column("replaced", _Int, null=True),
    _column("withdrawn", _Big, null=True),
    _column("withdrawn_by", _Json, null=True),
)
audit = _table(
    "audit",
    _column("sequence", _Big, key=True),
    _column("time", _Big),
    _column("actor", _Json),
    _column("action", _Json),
    _column("detail", _Json),
)
settings = _table("settings", _column("name", _Json, key=True), _column("value", _Json))
