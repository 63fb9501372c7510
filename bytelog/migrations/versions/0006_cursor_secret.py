"""Hide in cursors how many events all projects have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bytelog.storage import cursor_secret
from bytelog.storage.database import backend_of

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table of the secret, and the secret."""
    op.create_table(
        "cursor_secret",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("value", sa.String(32), nullable=False),
        sa.Column("last_plain_key", sa.BigInteger, nullable=False),
    )
    connection = op.get_bind()
    cursor_secret.create(backend_of(connection.engine), connection)
