"""Alembic's entry: migrate over the connection, and in the transaction, that the caller gives."""

from __future__ import annotations

from alembic import context

from bytelog.migrations.upgrade import VERSION_TABLE
from bytelog.storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
