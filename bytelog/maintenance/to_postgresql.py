"""From SQLite to PostgreSQL, while the service goes on.

Events keep their keys and are copied in the order of them, each batch in a transaction. So what is
there is always a beginning of what is here, and whoever goes on starts after its last key. What
the service has deleted meanwhile because of its age is deleted there too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, delete, func, select

from ..config import MIGRATE_EVENTS, PARTITION_EVENTS
from ..migrations.upgrade import upgrade
from ..queries import listing
from ..storage import partitions, postgresql
from ..storage.backend import StorageError
from ..storage.database import Base, backend_of, db, fetch, storage_errors
from ..storage.models import Event
from ..storage.sql import DateAsText
from . import inspection

_COLUMNS = ("key", "project_id", "id", "name", "trace_id", "date", "data")
_NOTE = "copied by bytelog migrate"

_TABLES = [table for table in Base.metadata.sorted_tables if table.name != "event"]

_text = [DateAsText(Event.date) if it == "date" else Event.__table__.c[it] for it in _COLUMNS]
_beyond = (Event.key > bindparam("key"), Event.key <= bindparam("last"))
_batch = select(*_text).where(*_beyond).order_by(Event.key).limit(MIGRATE_EVENTS)
_count = select(func.count()).select_from(Event).where(*_beyond)
_delete_others = delete(Event).where(*_beyond, Event.key.not_in(bindparam("keys", expanding=True)))


class ContentDiffers(StorageError):
    """What is there is not what is here; the message says where."""


class Migration:
    """The service's events on their way into a database of PostgreSQL."""

    def __init__(self, target: Engine) -> None:
        self._target = target
        self.checksum = sha256()
        self.copied = self.verified = 0
        upgrade(target)
        self.last, self.position = _last_assigned_key(), listing.last_key(target)
        with storage_errors(), backend_of(target).open_writer() as connection:
            self._claim(connection)
            self._copy_tables(connection)
            self._make_partitions(connection)

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        return _count_between(db.engine, self.position, self.last)

    def copy(self) -> Iterator[int]:
        """Copy the missing events; yields how many events after each batch. Raises StorageError."""
        with storage_errors(), backend_of(self._target).open_writer() as connection:
            while rows := self._rows(self.position):
                with backend_of(self._target).transaction(connection):
                    postgresql.copy(connection, _COLUMNS, rows)
                self.position = rows[-1].key
                self.copied += len(rows)
                yield len(rows)
            # A key that was given here is never given there.
            connection.exec_driver_sql(f"SELECT setval('event_key_seq', {max(self.last, 1)})")

    def verify(self) -> Iterator[int]:
        """Compare all events; yields how many after each batch. Raises ContentDiffers."""
        key = 0
        with storage_errors(), backend_of(self._target).open_writer() as connection:
            while key < self.last:
                rows = self._rows(key)
                end = rows[-1].key if len(rows) == MIGRATE_EVENTS else self.last
                bounds = {"key": key, "last": end}
                self._delete_pruned(connection, bounds, rows)
                digest = _digest(rows)
                if _digest(fetch(self._target, _batch, bounds)) != digest:
                    raise ContentDiffers(f"the events with the keys {key + 1} to {end} differ.")
                self.checksum.update(digest)
                self.verified += len(rows)
                key = end
                yield len(rows)

    def _rows(self, key: int) -> Sequence[Any]:
        return fetch(db.engine, _batch, {"key": key, "last": self.last})

    def _claim(self, connection: Connection) -> None:
        # Events that are not copies must neither be mixed with these nor deleted.
        note = connection.exec_driver_sql("SELECT obj_description('event'::regclass)").scalar()
        if self.position > (self.last if note == _NOTE else 0):
            raise ContentDiffers("it has events of its own. Choose an empty database.")
        connection.exec_driver_sql(f"COMMENT ON TABLE event IS '{_NOTE}'")

    def _copy_tables(self, connection: Connection) -> None:
        with backend_of(self._target).transaction(connection):
            for table in _TABLES:
                _copy_rows(connection, table)

    def _make_partitions(self, connection: Connection) -> None:
        events: Counter[date] = Counter()
        with db.engine.connect() as source:
            for found in inspection.count_by_day(source):
                events[date.fromisoformat(found.day)] += found.events
        days = {
            day for day, number in events.items() if number >= PARTITION_EVENTS and day < date.max
        }
        for day in sorted(days):
            with backend_of(self._target).transaction(connection):
                partitions.make(connection, [day])

    def _delete_pruned(
        self, connection: Connection, bounds: dict[str, Any], rows: Sequence[Any]
    ) -> None:
        if _count_between(self._target, **bounds) == len(rows):
            return
        with backend_of(self._target).transaction(connection):
            connection.execute(_delete_others, {**bounds, "keys": [row.key for row in rows]})


def _copy_rows(connection: Connection, table: Table) -> None:
    # Not at the top: who has SQLite does not wait for PostgreSQL's dialect at every start.
    from sqlalchemy.dialects.postgresql import insert

    rows = [row._asdict() for row in fetch(db.engine, select(table))]
    if not rows:
        return
    statement = insert(table)
    changed = {it.name: statement.excluded[it.name] for it in table.columns}
    statement = statement.on_conflict_do_update(index_elements=[*table.primary_key], set_=changed)
    connection.execute(statement, rows)
    if "id" in table.columns:
        last = max(row["id"] for row in rows)
        connection.exec_driver_sql(f"SELECT setval('{table.name}_id_seq', {last})")


def _last_assigned_key() -> int:
    # The event that had it may be gone.
    given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'"
    with storage_errors(), db.engine.connect() as connection:
        return int(connection.exec_driver_sql(given).scalar_one())


def _count_between(engine: Engine, key: int, last: int) -> int:
    ((number,),) = fetch(engine, _count, {"key": key, "last": last})
    return int(number)


def _digest(rows: Sequence[Any]) -> bytes:
    return sha256(repr([tuple(row) for row in rows]).encode()).digest()
