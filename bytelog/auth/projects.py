"""Projects, which separate the events of one team from those of another."""

from __future__ import annotations

import time
from typing import cast

from flask import Flask, current_app
from sqlalchemy import Connection, insert, literal, select

from ..storage.backend import StorageError
from ..storage.database import db, fetch, fetch_or_fall_back
from ..storage.models import Project
from ..storage.writer import current_writer

CACHE_SECONDS = 0.5
"""How long a name and its id are trusted: another process may rename or delete the project."""

_all = select(Project.id, Project.name)


class UnknownProject(LookupError):
    """No project has that name; the message lists the projects."""


class ProjectCache:
    """The ids and names of all projects, as they were at most CACHE_SECONDS ago."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self._trusted_until = 0.0

    def refresh(self) -> None:
        """Read the projects again if that is due; raises StorageError if none was ever read."""
        if time.monotonic() < self._trusted_until:
            return
        try:
            self.names = dict(fetch(db.engine, _all))
            self.ids = {name: project_id for project_id, name in self.names.items()}
        except StorageError:
            # Reads continue on a replica while the primary is down.
            if not self.names:
                raise
        self._trusted_until = time.monotonic() + CACHE_SECONDS


def init_app(app: Flask) -> None:
    """Give the application a cache of the projects."""
    app.extensions["bytelog.projects"] = ProjectCache()


def find(name: str) -> int:
    """Return the id of a project; raises UnknownProject."""
    ids = {row.name: row.id for row in fetch(db.engine, _all)}
    if name not in ids:
        names = ", ".join(sorted(ids))
        raise UnknownProject(f"there is no project {name!r}; choose one of these: {names}.")
    return int(ids[name])


def look_up(name: str) -> int | None:
    """Return the id of a project, None if it does not exist; raises StorageError."""
    rows = fetch_or_fall_back(select(Project.id).where(Project.name == name))
    return int(rows[0].id) if rows else None


def find_name(project_id: int) -> str:
    """Return the name of a project, "" if it is gone; raises StorageError."""
    return _read_cache().names.get(project_id, "")


def get_or_create(name: str) -> int:
    """Return the id of a project, which is created if it is new; raises StorageError."""
    ids = _read_cache().ids
    if name not in ids:
        ids[name] = _create(name)
    return ids[name]


def ensure(connection: Connection, name: str) -> int:
    """Return the id of a project, which is created in the transaction if it is new."""
    project_id = select(Project.id).where(Project.name == name)
    missing = select(literal(name)).where(~project_id.exists())
    connection.execute(insert(Project).from_select(["name"], missing))
    return connection.execute(project_id).scalar_one()


def _read_cache() -> ProjectCache:
    cache = cast("ProjectCache", current_app.extensions["bytelog.projects"])
    cache.refresh()
    return cache


def _create(name: str) -> int:
    with current_writer().transaction() as connection:
        return ensure(connection, name)
