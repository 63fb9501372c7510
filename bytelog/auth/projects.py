"""Projects: what separates one team's events from another's."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app
from sqlalchemy import Connection, insert, literal, select

from ..storage.database import db, fetch
from ..storage.models import Project
from ..storage.writer import current_writer


class UnknownProject(LookupError):
    """There is no project of that name; the message says which there are."""


def init_app(app: Flask) -> None:
    """Give the application its memory of projects, whose keys never change."""
    app.extensions["bytelog.projects"] = {}


def find(name: str) -> int:
    """Return the key of a project; raises UnknownProject."""
    known = {row.name: row.id for row in fetch(db.engine, select(Project.name, Project.id))}
    if name not in known:
        names = ", ".join(sorted(known))
        raise UnknownProject(f"there is no project {name!r}; choose one of these: {names}.")
    return int(known[name])


def get_or_create(name: str) -> int:
    """Return the key of a project, which comes into being if it is new; raises StorageError."""
    known = cast("dict[str, int]", current_app.extensions["bytelog.projects"])
    if name not in known:
        rows = fetch(db.engine, select(Project.id).where(Project.name == name))
        known[name] = rows[0].id if rows else _create(name)
    return known[name]


def ensure(connection: Connection, name: str) -> int:
    """Return the key of a project, which comes into being if it is new."""
    wanted = select(Project.id).where(Project.name == name)
    missing = select(literal(name)).where(~wanted.exists())
    connection.execute(insert(Project).from_select(["name"], missing))
    return connection.execute(wanted).scalar_one()


def _create(name: str) -> int:
    with current_writer().transaction() as connection:
        return ensure(connection, name)
