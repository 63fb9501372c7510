"""Remember which projects were copied from other databases, so that their cursors stay valid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables of moved projects, of the ranges of their keys, and of their epochs."""
    op.create_table(
        "moved_project",
        _project(),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("last_key", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("secret", sa.String(32), nullable=False),
    )
    op.create_table(
        "moved_range",
        _project(),
        sa.Column("first_key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_key", sa.BigInteger, nullable=False),
        sa.Column("shift", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "moved_epoch",
        _project(),
        sa.Column("first_key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(8), nullable=False),
    )


def _project() -> sa.Column[int]:
    reference = sa.ForeignKey("project.id")
    return sa.Column("project_id", sa.Integer, reference, primary_key=True, autoincrement=False)
