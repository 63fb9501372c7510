"""Copying the service's SQLite database to PostgreSQL while the service runs.

Events keep their keys and are copied in the order of keys, with one transaction per batch. So the
target always has the first events of the source, and an interrupted migration continues after the
target's last key. Events that the source has pruned since are deleted from the target too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, bindparam, delete, func, select

from ..migrations.upgrade import upgrade
from ..queries import listing
from ..storage.backend import StorageError
from ..storage.database import backend_of, db, fetch
from ..storage.models import COLUMNS, Base, Event
from ..storage.reader import Reader
from ..storage.sql import DateAsText
from . import inspection

if TYPE_CHECKING:
    from ..storage.postgresql import PostgreSQL

MIGRATE_EVENTS = 5000
"""Events copied in one transaction, or compared in one step."""

PARTITION_EVENTS = 1000
"""Number of events from which on a past day gets a partition of its own."""

_NOTE = "copied by bytelog migrate"

_TABLES = [table for table in Base.metadata.sorted_tables if table.name != "event"]

_columns = [
    DateAsText(Event.date) if column == "date" else Event.__table__.c[column] for column in COLUMNS
]
_in_batch = (Event.key > bindparam("key"), Event.key <= bindparam("last"))
_batch = select(*_columns).where(*_in_batch).order_by(Event.key).limit(MIGRATE_EVENTS)
_count = select(func.count()).select_from(Event).where(*_in_batch)
_delete_others = delete(Event).where(
    *_in_batch, Event.key.not_in(bindparam("keys", expanding=True))
)


class ContentDiffers(StorageError):
    """The events of the target differ from those of the source; the message says where."""


class Migration:
    """A migration of the service's database to a PostgreSQL database."""

    def __init__(self, target: Engine) -> None:
        self._target = target
        self._backend = cast("PostgreSQL", backend_of(target))
        self.checksum = sha256()
        self.copied = self.verified = 0
        upgrade(target)
        self.last, self.position = _find_last_assigned_key(), listing.last_key(Reader(target))
        with self._backend.errors(), self._backend.open_writer() as connection:
            self._claim(connection)
            self._copy_tables(connection)
            self._backend.create_partitions(connection, _list_busy_days())

    def count_missing(self) -> int:
        """Return the number of events that remain to be copied."""
        return _count_between(db.engine, self.position, self.last)

    def copy(self) -> Iterator[int]:
        """Copy the missing events; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            while rows := self._fetch_batch(self.position):
                with self._backend.transaction(connection):
                    self._backend.copy(connection, COLUMNS, rows)
                self.position = rows[-1].key
                self.copied += len(rows)
                yield len(rows)
            # A key that the source has assigned is never assigned again.
            self._backend.restart_sequence(connection, "event_key_seq", max(self.last, 1))

    def verify(self) -> Iterator[int]:
        """Compare all events; yields the size of each batch. Raises ContentDiffers."""
        key = 0
        with self._backend.errors(), self._backend.open_writer() as connection:
            while key < self.last:
                rows = self._fetch_batch(key)
                end = rows[-1].key if len(rows) == MIGRATE_EVENTS else self.last
                bounds = {"key": key, "last": end}
                self._delete_pruned(connection, bounds, rows)
                digest = _compute_digest(rows)
                if _compute_digest(fetch(self._target, _batch, bounds)) != digest:
                    raise ContentDiffers(f"the events with the keys {key + 1} to {end} differ.")
                self.checksum.update(digest)
                self.verified += len(rows)
                key = end
                yield len(rows)

    def _fetch_batch(self, key: int) -> Sequence[Any]:
        return fetch(db.engine, _batch, {"key": key, "last": self.last})

    def _claim(self, connection: Connection) -> None:
        # Events that are not copies must not be mixed with the copies or be deleted.
        note = connection.exec_driver_sql("SELECT obj_description('event'::regclass)").scalar()
        if self.position > (self.last if note == _NOTE else 0):
            raise ContentDiffers("it has events of its own. Choose an empty database.")
        connection.exec_driver_sql(f"COMMENT ON TABLE event IS '{_NOTE}'")

    def _copy_tables(self, connection: Connection) -> None:
        with self._backend.transaction(connection):
            for table in _TABLES:
                rows = [row._asdict() for row in fetch(db.engine, select(table))]
                if not rows:
                    continue
                self._backend.upsert(connection, table, rows)
                if "id" in table.columns:
                    last = max(row["id"] for row in rows)
                    self._backend.restart_sequence(connection, f"{table.name}_id_seq", last)

    def _delete_pruned(
        self, connection: Connection, bounds: dict[str, Any], rows: Sequence[Any]
    ) -> None:
        if _count_between(self._target, **bounds) == len(rows):
            return
        with self._backend.transaction(connection):
            connection.execute(_delete_others, {**bounds, "keys": [row.key for row in rows]})


def _list_busy_days() -> list[date]:
    events: Counter[date] = Counter()
    with db.engine.connect() as source:
        for day in inspection.count_by_day(source):
            events[date.fromisoformat(day.day)] += day.events
    return [day for day, count in events.items() if count >= PARTITION_EVENTS and day < date.max]


def _find_last_assigned_key() -> int:
    # The table's highest key would not do: its event may have been deleted.
    assigned = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'"
    with backend_of(db.engine).errors(), db.engine.connect() as connection:
        return int(connection.exec_driver_sql(assigned).scalar_one())


def _count_between(engine: Engine, key: int, last: int) -> int:
    ((events,),) = fetch(engine, _count, {"key": key, "last": last})
    return int(events)


def _compute_digest(rows: Sequence[Any]) -> bytes:
    return sha256(repr([tuple(row) for row in rows]).encode()).digest()
