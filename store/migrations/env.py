"""What Alembic runs: the migrations, in the transaction that `store.migrate` opened."""

from __future__ import annotations

from alembic import context

from store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
