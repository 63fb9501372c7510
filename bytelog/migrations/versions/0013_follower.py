"""Store the positions of followers, and the events that receivers refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0013"
down_revision = "0012"

MOMENT = sa.String(24).with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Create the tables of followers and of the events that were set aside."""
    op.create_table(
        "follower",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id"), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("cursor", sa.String(255), nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
        sa.Column("delivered", MOMENT),
        sa.UniqueConstraint("project_id", "name"),
    )
    op.create_table(
        "set_aside_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("follower_id", sa.Integer, sa.ForeignKey("follower.id"), nullable=False),
        sa.Column("message", sa.String(255), nullable=False),
        sa.Column("cursor", sa.String(255), nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_index("set_aside_event_by_follower", "set_aside_event", ["follower_id"])
