"""Run by Alembic for each upgrade, on the connection that `upgrade` brings."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
