"""Alembic's environment: migrations run on the connection that `homeprices.adapters.database` passes in."""

from alembic import context

from homeprices.predictions.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
