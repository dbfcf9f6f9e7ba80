"""The first tables."""

from alembic import op

from tastemaker.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward only."""
    metadata.create_all(op.get_bind())
