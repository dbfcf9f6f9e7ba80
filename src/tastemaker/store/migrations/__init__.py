"""Changes of the tables, by Alembic, forward only; shipped in the package and run when a store is opened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tastemaker.errors import StoreError

FOLDER = Path(__file__).parent


def revisions() -> list[str]:
    """All revisions, the newest first."""
    return [step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()]


def upgrade(connection: sa.Connection, revision: str | None, name: str) -> None:
    """Brings the tables behind an open transaction from `revision` to the newest; when it fails they are as they were.

    Raises:
        StoreError: `revision` is none of ours, for a newer version wrote the tables; or the database holds tables of others.
    """
    known = revisions()
    if revision is not None and revision not in known:
        raise StoreError(
            f"{name} with tables of revision {revision!r}",
            expected=f"a revision up to {known[0]!r}",
            hint="a newer tastemaker wrote it; update this one",
        )
    if revision is None and (others := sa.inspect(connection).get_table_names()):
        raise StoreError(f"{name} with other tables: {', '.join(sorted(others)[:5])}", expected="a store or an empty database")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
