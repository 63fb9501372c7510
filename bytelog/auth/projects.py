"""Projects, which separate the events of one team from those of another."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app
from sqlalchemy import Connection, insert, literal, select

from ..storage.database import db, fetch, fetch_or_fall_back
from ..storage.models import Project
from ..storage.writer import current_writer


class UnknownProject(LookupError):
    """No project has that name; the message lists the projects."""


def init_app(app: Flask) -> None:
    """Give the application a cache of the projects' ids, which never change."""
    app.extensions["bytelog.projects"] = {}


def find(name: str) -> int:
    """Return the id of a project; raises UnknownProject."""
    ids = {row.name: row.id for row in fetch(db.engine, select(Project.name, Project.id))}
    if name not in ids:
        names = ", ".join(sorted(ids))
        raise UnknownProject(f"there is no project {name!r}; choose one of these: {names}.")
    return int(ids[name])


def look_up(name: str) -> int | None:
    """Return the id of a project, None if it does not exist; raises StorageError."""
    rows = fetch_or_fall_back(select(Project.id).where(Project.name == name))
    return int(rows[0].id) if rows else None


def get_or_create(name: str) -> int:
    """Return the id of a project, which is created if it is new; raises StorageError."""
    ids = cast("dict[str, int]", current_app.extensions["bytelog.projects"])
    if name not in ids:
        rows = fetch(db.engine, select(Project.id).where(Project.name == name))
        ids[name] = rows[0].id if rows else _create(name)
    return ids[name]


def ensure(connection: Connection, name: str) -> int:
    """Return the id of a project, which is created in the transaction if it is new."""
    project_id = select(Project.id).where(Project.name == name)
    missing = select(literal(name)).where(~project_id.exists())
    connection.execute(insert(Project).from_select(["name"], missing))
    return connection.execute(project_id).scalar_one()


def _create(name: str) -> int:
    with current_writer().transaction() as connection:
        return ensure(connection, name)
