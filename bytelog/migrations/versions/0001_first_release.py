"""The schema of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0001"
down_revision = None

MOMENT = sa.String(24).with_variant(TIMESTAMP(timezone=True), "postgresql")

# Without a foreign key, which PostgreSQL would check for each event: projects are never deleted. A
# unique index must include the date. The order of the columns wastes no space.
PARTITIONED = """
    CREATE TABLE event (
        key bigserial NOT NULL,
        id bigint NOT NULL,
        date timestamptz NOT NULL,
        project_id integer NOT NULL,
        name varchar(255) COLLATE "C" NOT NULL,
        trace_id varchar(255) COLLATE "C" NOT NULL,
        data text NOT NULL,
        PRIMARY KEY (key, date)
    ) PARTITION BY RANGE (date);
    CREATE INDEX event_by_date ON event (project_id, date, key);
    CREATE INDEX event_by_trace ON event (project_id, trace_id, date, key);
    CREATE TABLE event_default PARTITION OF event DEFAULT;
"""


def upgrade() -> None:
    """Create the tables of the first release."""
    project = op.create_table(
        "project",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
    )
    op.bulk_insert(project, [{"name": "default"}])
    op.create_table(
        "api_key",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id"), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("expires", MOMENT),
        sa.Column("revoked", MOMENT),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(PARTITIONED)
    else:
        _create_events()


def _create_events() -> None:
    op.create_table(
        "event",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id"), nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("trace_id", sa.String(255), nullable=False),
        sa.Column("date", sa.String(24), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("event_by_date", "event", ["project_id", "date"])
    op.create_index("event_by_trace", "event", ["project_id", "trace_id", "date"])
