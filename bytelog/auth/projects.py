"""Projects, which separate the events of one team from those of another."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app
from sqlalchemy import Connection, insert, literal, select

from ..storage.database import db, fetch, fetch_or_fall_back
from ..storage.models import Project
from ..storage.writer import current_writer
from .cache import Cache

_all = select(Project.id, Project.name)


class UnknownProject(LookupError):
    """No project has that name; the message lists the projects."""


def init_app(app: Flask) -> None:
    """Give the application caches of the projects' ids and names."""
    app.extensions["bytelog.project_ids"] = Cache(_fetch_id)
    app.extensions["bytelog.project_names"] = Cache(_fetch_name)


def find(name: str) -> int:
    """Return the id of a project; raises UnknownProject."""
    ids = {row.name: row.id for row in fetch(db.engine, _all)}
    if name not in ids:
        names = ", ".join(sorted(ids))
        raise UnknownProject(f"there is no project {name!r}; choose one of these: {names}.")
    return int(ids[name])


def look_up(name: str, may_wait: bool = True) -> int | None:
    """Return the id of a project, None if it does not exist.

    Raises StorageError, and MustWait if the database has to be asked and the caller may not wait.
    """
    cache = cast("Cache[str, int]", current_app.extensions["bytelog.project_ids"])
    return cache.find(name, may_wait)


def find_name(project_id: int) -> str:
    """Return the name of a project, "" if it is gone; raises StorageError."""
    cache = cast("Cache[int, str]", current_app.extensions["bytelog.project_names"])
    return cache.find(project_id) or ""


def get_or_create(name: str) -> int:
    """Return the id of a project, which is created if it is new; raises StorageError."""
    project_id = look_up(name)
    if project_id is not None:
        return project_id
    with current_writer().transaction() as connection:
        return ensure(connection, name)


def ensure(connection: Connection, name: str) -> int:
    """Return the id of a project, which is created in the transaction if it is new."""
    project_id = select(Project.id).where(Project.name == name)
    missing = select(literal(name)).where(~project_id.exists())
    connection.execute(insert(Project).from_select(["name"], missing))
    return connection.execute(project_id).scalar_one()


def _fetch_id(name: str) -> int | None:
    rows = fetch_or_fall_back(select(Project.id).where(Project.name == name))
    return int(rows[0].id) if rows else None


def _fetch_name(project_id: int) -> str | None:
    rows = fetch_or_fall_back(select(Project.name).where(Project.id == project_id))
    return str(rows[0].name) if rows else None
