"""Find the arrivals of a project without reading those of all other projects."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the index in PostgreSQL; SQLite reads its table in the order of arrival."""
    if op.get_bind().dialect.name == "postgresql":
        # An administrator may have created it ahead, without locking the partitions.
        op.execute("CREATE INDEX IF NOT EXISTS event_by_arrival ON event (project_id, key)")
