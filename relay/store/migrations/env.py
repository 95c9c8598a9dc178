"""Alembic's entry point: runs the revisions on the connection that `relay.store.migrations.upgrade` was given."""

from alembic import context

from relay.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
