"""Run by alembic inside app.journal.store.migrate, which hands over its open connection and owns the transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transactional_ddl=False,
    transaction_per_migration=False,
)
context.run_migrations()
