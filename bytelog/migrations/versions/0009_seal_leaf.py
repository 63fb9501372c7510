"""Keep salted hashes of sealed events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables of the leaves, and of what the next seal continues from."""
    op.create_table(
        "sealed_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("last_key", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("seals", sa.Integer, nullable=False),
        sa.Column("covered", sa.Integer, nullable=False),
        sa.Column("erased", sa.BigInteger, nullable=False),
        sa.Column("erasures", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "seal_leaf",
        sa.Column("key", KEY, primary_key=True, autoincrement=False),
        sa.Column("link", sa.BigInteger, nullable=False),
        sa.Column("erased_after", sa.Integer),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    is_erased = sa.text("erased_after IS NOT NULL")
    op.create_index(
        "seal_leaf_erased",
        "seal_leaf",
        ["erased_after", "key"],
        sqlite_where=is_erased,
        postgresql_where=is_erased,
    )
