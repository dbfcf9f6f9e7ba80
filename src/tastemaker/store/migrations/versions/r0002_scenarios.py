"""Scenarios: named sets of rules, and their published versions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _column(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def _null(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "scenarios",
        _column("name", sa.Text()),
        _null("draft", sa.Text()),
        _column("revision", BIG),
        _column("changed", BIG),
        _column("changed_by", sa.Text()),
        _null("in_force", sa.Integer()),
        _column("versions", sa.Integer()),
        _column("deleted", sa.Boolean()),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "scenario_versions",
        _column("name", sa.Text()),
        _column("version", sa.Integer()),
        _column("rules", sa.Text()),
        _column("published", BIG),
        _column("published_by", sa.Text()),
        _null("replaced", sa.Integer()),
        _null("withdrawn", BIG),
        _null("withdrawn_by", sa.Text()),
        sa.PrimaryKeyConstraint("name", "version"),
    )
