"""Note the day on which each key was last used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column to the keys."""
    op.add_column("api_key", sa.Column("last_used", sa.Date))
