"""Changes of the tables, by Alembic, forward only; shipped in the package and run when a store is opened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tastemaker.errors import StoreError

FOLDER = Path(__file__).parent


def upgrade(connection: sa.Connection, revision: str | None, name: str, to: str = "head") -> None:
    """Brings the tables behind an open transaction from `revision` to `to`, or leaves them as they were.

    Raises:
        StoreError: `revision` is none of ours: a newer version wrote the tables.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = [step.revision for step in script.walk_revisions()]
    if revision is not None and revision not in known:
        raise StoreError(
            f"{name} at revision {revision!r}", expected=f"a revision up to {known[0]!r}", hint="a newer tastemaker wrote it; update this one"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, to)
