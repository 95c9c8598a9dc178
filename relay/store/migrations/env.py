"""Alembic's entry point.

Owns: running the revisions on the connection that `relay.store.migrations.upgrade` was given.
Must never know: what a revision changes.
"""

from alembic import context

from relay.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
