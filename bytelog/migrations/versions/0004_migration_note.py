"""Remember what was copied from a SQLite database to a PostgreSQL database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table of notes."""
    op.create_table(
        "migration_note",
        sa.Column("source", sa.String(32), primary_key=True),
        sa.Column("last_key", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
