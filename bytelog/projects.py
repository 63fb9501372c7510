"""Projects: what separates one team's events from another's."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from .db import db, fetch
from .models import Project


class UnknownProject(LookupError):
    """There is no project of that name; the message says which there are."""


def find(name: str) -> int:
    """Return the key of a project; raises UnknownProject."""
    known = {row.name: row.id for row in fetch(db.engine, select(Project.name, Project.id))}
    if name not in known:
        names = ", ".join(sorted(known))
        raise UnknownProject(f"there is no project {name!r}; choose one of these: {names}.")
    return int(known[name])


def ensure(connection: Connection, name: str) -> int:
    """Return the key of a project, which comes into being if it is new."""
    connection.execute(insert(Project).values(name=name).on_conflict_do_nothing())
    return connection.execute(select(Project.id).where(Project.name == name)).scalar_one()
