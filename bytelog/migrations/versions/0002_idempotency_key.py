"""Store the Idempotency-Keys of recorded events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"

MOMENT = sa.String(24).with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Create the table of keys."""
    op.create_table(
        "idempotency_key",
        sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id"), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_index("idempotency_key_by_age", "idempotency_key", ["created"])
