"""How Alembic runs here: on the connection that `homeprices.database` hands in, never on one of its own."""

from alembic import context

from homeprices.predictions.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
