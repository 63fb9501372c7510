"""What is in a database, and whether it is sound: for `bytelog check` and `bytelog stats`."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from ..migrations.upgrade import HEAD, revision_of
from ..queries.filters import date
from ..queries.selection import BEGINNING
from ..storage.backend import StorageError
from ..storage.models import Event, Project
from ..storage.sqlite import driver

_mine = Event.project_id == bindparam("project_id")
_next = select(func.min(date)).where(_mine, date >= bindparam("start"))
_in_day = (_mine, date >= bindparam("start"), date < bindparam("end"))
_count = select(func.count(Event.key)).where(*_in_day)
_names = select(Event.name, func.count()).where(*_in_day).group_by(Event.name)


@dataclass(frozen=True, slots=True)
class Day:
    """How many events of a project have their date on a day in UTC, such as 2021-08-15."""

    project_id: int
    project: str
    day: str
    events: int

    @property
    def bounds(self) -> dict[str, object]:
        """Return the values that select its events."""
        return {"project_id": self.project_id, "start": self.day, "end": _end_of_day(self.day)}


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check has found: the schema, damage, and in a sound database its days."""

    revision: str
    damage: str | None
    days: list[Day]


class NotBytelogDatabase(StorageError):
    """A database is not one that this bytelog can open; the message says why."""


def inspect(connection: Connection) -> Findings:
    """Look through a database; raises NotBytelogDatabase and StorageError."""
    schema, problem = describe_revision(connection), find_damage(connection)
    return Findings(schema, problem, [] if problem else list(count_by_day(connection)))


def describe_revision(connection: Connection) -> str:
    """Return a database's revision, and what it is to this version; raises NotBytelogDatabase."""
    found = revision_of(connection)
    if found is None:
        raise NotBytelogDatabase("it is a database of another program")
    if HEAD < found != "base":
        raise NotBytelogDatabase(
            f"it was written by a newer bytelog: its schema is {found}, this one knows {HEAD}"
        )
    return f"{found}, {'that of' if found == HEAD else 'older than'} this version"


def find_damage(connection: Connection) -> str | None:
    """Return what is wrong with a database first of all, nothing if it is sound.

    None for PostgreSQL, which has its own tools for that, pg_checksums and pg_amcheck.
    """
    if connection.dialect.name == "postgresql":
        return None
    try:
        # After the first problem SQLite may fail, and then the driver loses what it has said.
        (found,) = driver(connection).execute("PRAGMA integrity_check(1)").fetchone()
        orphan = driver(connection).execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != "ok":
        return str(found)
    return "row {1} of {0} names no {2}".format(*orphan) if orphan else ""


def bytes_of_server(connection: Connection) -> int:
    """Return how much a database takes on the disk of its PostgreSQL server."""
    size = "SELECT pg_database_size(current_database())"
    return int(connection.exec_driver_sql(size).scalar_one())


def free_bytes(connection: Connection) -> int:
    """Return how much of a file holds nothing, and is there for what comes."""
    pages, size = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("freelist_count", "page_size")
    )
    return int(pages * size)


def count_by_day(connection: Connection) -> Iterator[Day]:
    """Count the events of each project and day that has some, in this order."""
    for row in connection.execute(select(Project.id, Project.name).order_by(Project.name)).all():
        start = BEGINNING
        while first := connection.execute(_next, {"project_id": row.id, "start": start}).scalar():
            day = first[: len("2021-08-15")]
            bounds = Day(row.id, row.name, day, 0).bounds
            yield Day(row.id, row.name, day, connection.execute(_count, bounds).scalar_one())
            start = _end_of_day(day)


def count_by_name(connection: Connection, day: Day) -> Counter[str]:
    """Count the events of a day by their names."""
    return Counter(dict(connection.execute(_names, day.bounds).tuples().all()))


def _end_of_day(day: str) -> str:
    return f"{day}T24:00:00.000Z"
