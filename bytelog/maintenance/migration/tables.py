"""The tables of a whole database other than events, which are small and copied at once."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, select

from ...storage.database import db, fetch
from ...storage.maintenance import Maintenance
from ...storage.models import DEFAULT_PROJECT_ID, Base, Project
from .digests import ContentDiffers

_OWN_TABLES = {"event", "epoch", "migration_note", "sealed_log", "seal_leaf"}
_TABLES = [table for table in Base.metadata.sorted_tables if table.name not in _OWN_TABLES]
_REPLACED = {"follower", "set_aside_event"}
"""Tables of which the source deletes rows. Their keys and names may belong to other rows by now."""

_projects = select(Project.id, Project.name)


def check_projects(target: Engine) -> None:
    """Raise ContentDiffers if the target has a project that is no copy."""
    own_projects = {(DEFAULT_PROJECT_ID, "default"), *map(tuple, fetch(db.engine, _projects))}
    for row in fetch(target, _projects):
        if tuple(row) not in own_projects:
            raise ContentDiffers(
                f"it has a project of its own, {row.name!r}. Choose an empty database."
            )


def copy(connection: Connection, maintenance: Maintenance) -> None:
    """Copy the tables, within a transaction."""
    for table in reversed(_TABLES):
        if table.name in _REPLACED:
            connection.execute(delete(table))
    for table in _TABLES:
        rows = [row._asdict() for row in fetch(db.engine, select(table))]
        if not rows:
            continue
        maintenance.upsert(connection, table, rows)
        if "id" in table.columns:
            last = max(row["id"] for row in rows)
            maintenance.restart_sequence(connection, table.name, "id", last)
