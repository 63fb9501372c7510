"""Copying the service's whole database to another one while the service runs.

Events keep their keys. Nothing is written to the target before `prove` has shown that it is empty,
or holds what the note says and nothing else. A target without a note, such as one of version 0.1.0,
is continued only if the source has every one of its events. Events that the source has pruned
meanwhile are deleted from the target only if the digest proves that they are copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from ...config import MAX_ID
from ...migrations.upgrade import upgrade
from ...queries.statements import highest_key
from ...seals import transfer
from ...storage.database import db, fetch
from ...storage.models import COLUMNS, Base, Epoch, Event, MigrationNote
from . import api_keys, source, tables, target
from .base import Migration, Note, Row
from .digests import ContentDiffers, columns, format_sum

_beyond = (Event.key > bindparam("key"), Event.key <= bindparam("last"))
_batch = select(*columns.values()).where(*_beyond).order_by(Event.key).limit(bindparam("rows"))
_count = select(func.count()).select_from(Event).where(*_beyond)
_delete = delete(Event).where(Event.key.in_(bindparam("keys", expanding=True)))
_epochs = (
    select(Epoch.first_key, Epoch.name)
    .where(Epoch.first_key > bindparam("key"), Epoch.first_key <= bindparam("last"))
    .order_by(Epoch.first_key)
)


class DatabaseMigration(Migration):
    """A copy of the service's database in another database."""

    def prove(self) -> Iterator[int]:
        """Check, without writing, that the target has nothing but copies."""
        if not target.has_schema(self._target):
            return
        self._read_note()
        self._check_epochs()
        tables.check_projects(self._target)
        api_keys.check_all(self._target)
        self._check_seals()
        yield from self._prove_copies()

    def prepare(self) -> None:
        """Create the tables, and copy all but the events; raises StorageError."""
        upgrade(self._target)
        with self._backend.errors(), self._backend.open_writer() as connection:
            with target.transaction(self._backend, connection):
                self._check_unchanged(connection)
                if not self._note:
                    self._note = Note(self._source, self.position, format_sum(self._sum))
                    connection.execute(insert(MigrationNote), self._note._asdict())
                self._copy_epochs(connection, self.position)
                tables.copy(connection, self._maintenance)
                # A key that the source has assigned is never assigned again.
                self._maintenance.restart_sequence(connection, "event", "key", max(self.last, 1))
            self._maintenance.create_partitions(connection, source.list_busy_days())

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        ((events,),) = fetch(db.engine, _count, {"key": self.position, "last": self.last})
        return int(events)

    def copy_leaves(self) -> Iterator[int]:
        """Copy what seals need; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in transfer.read_missing(db.engine, self._target):
                with self._update_note(connection, self.last, 0):
                    self._maintenance.upsert(connection, part.table, part.rows)
                yield len(part.rows)

    def _read_note(self) -> None:
        ((position,),) = fetch(self._target, highest_key)
        self.position = int(position)
        notes = self._fetch("migration_note", source.notes)
        self._note = Note(*notes[0]) if notes else None
        if self._note and self._note.source != self._source:
            raise self._refuse("it is the copy of another database")
        copied = self._note.last_key if self._note else self.last
        if self.position > copied:
            raise self._refuse(f"it has events of its own, after the key {copied}")
        if self.last < copied:
            raise self._refuse(
                f"events up to the key {copied} were copied, but this database has had only "
                f"{self.last}: it was restored from a backup"
            )
        self.position = copied if self._note else self.position

    def _check_epochs(self) -> None:
        beginnings = {"key": 0, "last": MAX_ID}
        theirs = self._fetch("epoch", _epochs, beginnings)
        if theirs != fetch(db.engine, _epochs, {"key": 0, "last": self._copied_key()}):
            raise self._refuse(
                "it has events of its own, or this database was restored from a backup"
            )

    def _check_seals(self) -> None:
        has_log = target.has_table(self._target, "sealed_log")
        if has_log and transfer.is_ahead(db.engine, self._target):
            raise self._refuse("it has seals of its own")

    def _read_own(self, key: int, last: int, rows: int) -> list[Row]:
        return _read(db.engine, key, last, rows)

    def _read_copies(self, key: int, last: int, rows: int) -> list[Row]:
        return _read(self._target, key, last, rows)

    def _insert(self, connection: Connection, rows: list[Row]) -> None:
        self._maintenance.copy(connection, COLUMNS, rows)

    def _delete(self, connection: Connection, rows: list[Row]) -> None:
        connection.execute(_delete, {"keys": [row[0] for row in rows]})

    def _write_note(self, connection: Connection, note: Note) -> None:
        self._copy_epochs(connection, note.last_key)
        connection.execute(update(MigrationNote), note._asdict())

    def _check_unchanged(self, connection: Connection) -> None:
        last = connection.execute(highest_key).scalar_one()
        if not self._is_noted(connection.execute(source.notes)) or last > self.position:
            raise self._refuse("another process has written to it")

    def _refuse(self, reason: str) -> ContentDiffers:
        return ContentDiffers(f"{reason}. Choose an empty database.")

    def _copy_epochs(self, connection: Connection, last: int) -> None:
        rows = [row._asdict() for row in fetch(db.engine, _epochs, {"key": 0, "last": last})]
        if rows:
            self._maintenance.upsert(connection, Base.metadata.tables["epoch"], rows)

    def _fetch(self, table: str, statement: Any, values: Any = None) -> Sequence[Any]:
        """Return rows of the target, none if an older version's lacks the table."""
        has_rows = target.has_table(self._target, table)
        return fetch(self._target, statement, values) if has_rows else []

    def _copied_key(self) -> int:
        return self._note.last_key if self._note else 0


def _read(engine: Engine, key: int, last: int, rows: int) -> list[Row]:
    values = {"key": key, "last": last, "rows": rows}
    return [tuple(row) for row in fetch(engine, _batch, values)]
