"""Alembic's entry point: migrates over the caller's connection, in its transaction."""

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
