"""Limit keys to some events of their project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column to the keys, which so far have no limit."""
    op.add_column("api_key", sa.Column("bound", sa.Text, nullable=False, server_default=""))
