"""Runs migrations over the connection that :mod:`frontrow.storage.centre.database` opened; nothing else does."""

from alembic import context

from frontrow.storage.centre.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table
)
with context.begin_transaction():
    context.run_migrations()
