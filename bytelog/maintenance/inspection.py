"""The contents of a database, and its damage, for `bytelog check` and `bytelog stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from ..migrations.upgrade import HEAD, revision_of
from ..queries.selection import BEGINNING
from ..seals import verification
from ..seals.document import Seal
from ..seals.verification import Comparison
from ..storage.database import backend_of
from ..storage.errors import StorageError
from ..storage.keyset import date
from ..storage.maintenance import OpenTransaction
from ..storage.models import Event, Project

HELD_BACK_SECONDS = 10
"""Age from which on an open transaction is reported: bytelog's own take less."""

_in_project = Event.project_id == bindparam("project_id")
_next_date = select(func.min(date)).where(_in_project, date >= bindparam("start"))
_in_day = (_in_project, date >= bindparam("start"), date < bindparam("end"))
_count = select(func.count(Event.key)).where(*_in_day)
_count_names = select(Event.name, func.count()).where(*_in_day).group_by(Event.name)


@dataclass(frozen=True, slots=True)
class Day:
    """The number of a project's events on a day in UTC, such as 2021-08-15."""

    project_id: int
    project: str
    day: str
    events: int

    @property
    def bounds(self) -> dict[str, object]:
        """Return the parameters that select the events of the day."""
        return {"project_id": self.project_id, "start": self.day, "end": _end_of_day(self.day)}


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check: the schema, the damage, and the rest if there is no damage.

    `damage` is "" if there is none, and None if only the database server can tell. `held_back_by`
    is a transaction that has held back arrivals for HELD_BACK_SECONDS.
    """

    revision: str
    damage: str | None
    days: list[Day]
    comparison: Comparison | None
    held_back_by: OpenTransaction | None = None

    @property
    def schema(self) -> str:
        """Return the revision and how it compares to this version's."""
        relation = "that of" if self.revision == HEAD else "older than"
        return f"{self.revision}, {relation} this version"


class NotBytelogDatabase(StorageError):
    """A database is not bytelog's, or has a newer schema; the message says which."""


class InvalidDate(StorageError):
    """An event has a date that bytelog does not write; the message says which."""


def inspect(connection: Connection, seal: Seal | None = None) -> Findings:
    """Check a database, and compare it with a seal; raises NotBytelogDatabase and StorageError."""
    revision = read_revision(connection)
    backend = backend_of(connection.engine)
    damage = backend.maintenance.find_damage(connection)
    if damage:
        return Findings(revision, damage, [], None)
    comparison = verification.compare(connection, seal) if seal else None
    oldest = backend.maintenance.find_oldest_transaction(connection)
    try:
        days = list(count_by_day(connection))
    except InvalidDate as error:
        return Findings(revision, str(error), [], comparison)
    held_back_by = oldest if oldest and _is_old(oldest) else None
    return Findings(revision, damage, days, comparison, held_back_by)


def _is_old(transaction: OpenTransaction) -> bool:
    # An age that bytelog may not see may be old.
    return transaction.seconds is None or transaction.seconds >= HELD_BACK_SECONDS


def read_revision(connection: Connection) -> str:
    """Return a database's revision; raises NotBytelogDatabase."""
    revision = revision_of(connection)
    if revision is None:
        raise NotBytelogDatabase("it is a database of another program")
    if HEAD < revision != "base":
        raise NotBytelogDatabase(
            f"it was written by a newer bytelog: its schema is {revision}, this version's is {HEAD}"
        )
    return revision


def count_by_day(connection: Connection) -> Iterator[Day]:
    """Yield the number of events of each project and day with events, in this order.

    Raises InvalidDate.
    """
    for row in connection.execute(select(Project.id, Project.name).order_by(Project.name)).all():
        values = {"project_id": row.id, "start": BEGINNING}
        while first := connection.execute(_next_date, values).scalar():
            day = first[: len("2021-08-15")]
            # Another program may have written anything, and the search would find it forever.
            if not isinstance(day, str) or first >= _end_of_day(day):
                raise InvalidDate(
                    f"an event of project {row.name!r} has the date {first!r}, which is not valid"
                )
            bounds = Day(row.id, row.name, day, 0).bounds
            yield Day(row.id, row.name, day, connection.execute(_count, bounds).scalar_one())
            values["start"] = _end_of_day(day)


def count_by_name(connection: Connection, day: Day) -> Counter[str]:
    """Return the number of events of a day for each name."""
    return Counter(dict(connection.execute(_count_names, day.bounds).tuples().all()))


def _end_of_day(day: str) -> str:
    return f"{day}T24:00:00.000Z"
