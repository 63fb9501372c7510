"""Tell apart the events that were recorded before and after a backup was restored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of epochs."""
    op.create_table(
        "epoch",
        sa.Column("first_key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(8), nullable=False),
    )
