"""The first tables; `store/schema.py` says what they are for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only an INTEGER key is the rowid itself


def _column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def _null(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "answers",
        _column("sequence", BIG),
        _column("recommendation_id", sa.LargeBinary()),
        _null("user_id", sa.LargeBinary()),
        _column("time", BIG),
        _column("item_ids", sa.Text()),
        _column("source", sa.Text()),
        _column("request", sa.Text()),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("recommendation_id", name="answers_by_id"),
    )
    op.create_index("answers_by_user", "answers", ["user_id"], unique=False)
    op.create_table(
        "audit",
        _column("sequence", BIG),
        _column("time", BIG),
        _column("actor", sa.Text()),
        _column("action", sa.Text()),
        _column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "dead_letters",
        _column("sequence", BIG),
        _column("time", BIG),
        _column("code", sa.Text()),
        _column("detail", sa.Text()),
        _column("raw", sa.Text()),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table("erased", _column("digest", sa.LargeBinary()), sa.PrimaryKeyConstraint("digest"), sqlite_with_rowid=False)
    op.create_table(
        "events",
        _column("sequence", BIG),
        _column("user_key", sa.Integer()),
        _column("item_key", sa.Integer()),
        _column("kind", sa.SmallInteger()),
        _column("time", BIG),
        _column("value", sa.Double()),
        _null("event_id", sa.LargeBinary()),
        _null("session_id", sa.LargeBinary()),
        _null("recommendation_id", sa.LargeBinary()),
        _null("position", sa.Integer()),
        _null("extra", sa.Text()),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index(
        "events_by_id",
        "events",
        ["event_id"],
        unique=True,
        sqlite_where=sa.text("event_id IS NOT NULL"),
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.create_index("events_by_item", "events", ["item_key", "sequence"], unique=False)
    op.create_index("events_by_user", "events", ["user_key", "time", "sequence", "item_key", "kind", "value"], unique=False)
    op.create_table(
        "items",
        _column("item_key", sa.Integer()),
        _column("item_id", sa.LargeBinary()),
        _column("changed", BIG),
        _null("properties", sa.Text()),
        _null("categories", sa.Text()),
        _null("available_from", BIG),
        _null("expires_at", BIG),
        _column("hidden", sa.Boolean()),
        _null("embedding", sa.LargeBinary()),
        _column("deleted", sa.Boolean()),
        sa.PrimaryKeyConstraint("item_key"),
        sa.UniqueConstraint("changed", name="items_by_change"),
        sa.UniqueConstraint("item_id", name="items_by_id"),
    )
    op.create_table(
        "jobs",
        _column("job_id", sa.Text()),
        _column("kind", sa.Text()),
        _column("state", sa.Text()),
        _column("created", BIG),
        _column("updated", BIG),
        _column("progress", sa.Double()),
        _column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_table(
        "keys",
        _column("key_id", sa.Text()),
        _column("digest", sa.LargeBinary()),
        _column("scopes", sa.Text()),
        _column("name", sa.Text()),
        _column("created", BIG),
        _null("revoked", BIG),
        _column("signs_users", sa.Boolean()),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "kinds", _column("kind", sa.SmallInteger()), _column("name", sa.LargeBinary()), sa.PrimaryKeyConstraint("kind")
    )
    op.create_table(
        "models",
        _column("name", sa.Text()),
        _column("version", sa.Integer()),
        _column("path", sa.Text()),
        _column("created", BIG),
        _column("state", sa.Text()),
        _column("facts", sa.Text()),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "seen",
        _column("user_key", sa.Integer()),
        _column("item_key", sa.Integer()),
        _column("kind", sa.SmallInteger()),
        _column("last", BIG),
        _null("second", BIG),
        _null("third", BIG),
        sa.PrimaryKeyConstraint("user_key", "item_key", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_table("settings", _column("name", sa.Text()), _column("value", sa.Text()), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "tallies",
        _column("level", sa.SmallInteger()),
        _column("bucket", sa.Integer()),
        _column("item_key", sa.Integer()),
        _column("kind", sa.SmallInteger()),
        _column("n", sa.Integer()),
        sa.PrimaryKeyConstraint("level", "bucket", "item_key", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally_log",
        _column("hour", sa.Integer()),
        _column("item_key", sa.Integer()),
        _column("kind", sa.SmallInteger()),
        _column("n", sa.Integer()),
    )
    op.create_table(
        "users",
        _column("user_key", sa.Integer()),
        _column("user_id", sa.LargeBinary()),
        _null("properties", sa.Text()),
        sa.PrimaryKeyConstraint("user_key"),
        sa.UniqueConstraint("user_id", name="users_by_id"),
    )
