"""Note the rules of BYTELOG_KEEP that a server has applied to each project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the note to the projects."""
    op.add_column("project", sa.Column("applied_rules", sa.Text))
