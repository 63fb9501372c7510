"""Note the first key of each day, to find the events that arrived since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table of days."""
    op.create_table(
        "arrival_day",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("first_key", sa.BigInteger, nullable=False),
    )
