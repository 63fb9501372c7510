"""Never assign the id of a deleted project again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table again in SQLite; a sequence of PostgreSQL assigns no id twice."""
    if op.get_bind().dialect.name == "postgresql":
        return
    op.create_table(
        "new_project",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("applied_rules", sa.Text),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO new_project SELECT id, name, applied_rules FROM project")
    op.drop_table("project")
    op.rename_table("new_project", "project")
