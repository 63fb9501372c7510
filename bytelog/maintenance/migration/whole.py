"""Copying the service's whole database to another one while the service runs.

Events keep their keys and are copied in the order of keys, in one transaction for each batch. The
same transaction updates a note in the target: which database is copied, the last key, and a digest
of the copies. So an interrupted migration continues after the noted key.

Nothing is written to the target before `prove` has shown that it is empty, or holds what the note
says and nothing else. A target without a note, such as one of version 0.1.0, is continued only if
the source has every one of its events. Events that the source has pruned meanwhile are deleted from
the target only if the digest proves that they are copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from ...config import MAX_ID
from ...migrations.upgrade import upgrade
from ...queries.statements import highest_key
from ...seals import transfer
from ...storage.database import backend_of, db, fetch
from ...storage.models import (
    COLUMNS,
    Base,
    Epoch,
    Event,
    MigrationNote,
)
from ...storage.sql import DateAsText
from . import source, tables, target
from .digests import MIGRATE_EVENTS, ContentDiffers, add_digests, compute_digest, format_sum

_text = [
    DateAsText(Event.date) if column == "date" else Event.__table__.c[column] for column in COLUMNS
]
_beyond = (Event.key > bindparam("key"), Event.key <= bindparam("last"))
_batch = select(*_text).where(*_beyond).order_by(Event.key).limit(MIGRATE_EVENTS)
_count = select(func.count()).select_from(Event).where(*_beyond)
_delete = delete(Event).where(Event.key.in_(bindparam("keys", expanding=True)))
_epochs = (
    select(Epoch.first_key, Epoch.name)
    .where(Epoch.first_key > bindparam("key"), Epoch.first_key <= bindparam("last"))
    .order_by(Epoch.first_key)
)
_UNPROVEN = (
    "it has events of its own, or events that this database no longer has, and no note that they "
    "were copied. Choose an empty database."
)


class _Note(NamedTuple):
    source: str
    last_key: int
    digest: str


class _Part(NamedTuple):
    """The events of both databases in a range of keys: those in both, and the target's others."""

    last: int
    common: list[Any]
    extra: list[Any]


class Migration:
    """A copy of the service's database into another database."""

    def __init__(self, engine: Engine) -> None:
        self._target = engine
        self._backend = backend_of(engine)
        self._source = source.identify()
        self._note: _Note | None = None
        self._sum = 0
        self.last = source.find_last_assigned_key()
        self.checksum = sha256()
        self.position = self.copied = self.verified = 0

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        return _count_between(db.engine, self.position, self.last)

    def prove(self) -> Iterator[int]:
        """Check, without writing, that the target holds copies alone; yields the size of each part.

        Raises ContentDiffers and StorageError.
        """
        if not target.has_schema(self._target):
            return
        self._read_note()
        self._check_epochs()
        tables.check_projects_and_keys(self._target)
        self._check_seals()
        for part in self._compare(self.position):
            if part.extra and not self._note:
                raise ContentDiffers(_UNPROVEN)
            self._sum += add_digests([*part.common, *part.extra])
            yield len(part.common)
        if self._note and self._note.digest != format_sum(self._sum):
            raise ContentDiffers(
                "its events are not those that were copied. It has been used since. "
                "Choose an empty database."
            )

    def prepare(self) -> None:
        """Create the tables, and copy all but the events; raises StorageError."""
        upgrade(self._target)
        with self._backend.errors(), self._backend.open_writer() as connection:
            with target.transaction(self._backend, connection):
                self._check_unchanged(connection)
                if not self._note:
                    self._note = _Note(self._source, self.position, format_sum(self._sum))
                    connection.execute(insert(MigrationNote), self._note._asdict())
                self._copy_epochs(connection, self.position)
                tables.copy(connection, self._backend)
                self._skip_assigned_keys(connection)
            self._backend.create_partitions(connection, source.list_busy_days())

    def copy(self) -> Iterator[int]:
        """Copy the missing events; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            while rows := self._rows(self.position):
                with self._update_note(connection, rows[-1].key, add_digests(rows)):
                    self._backend.copy(connection, COLUMNS, rows)
                self.copied += len(rows)
                yield len(rows)
            with self._update_note(connection, self.last, 0):
                self._skip_assigned_keys(connection)

    def verify(self) -> Iterator[int]:
        """Compare all events, and delete the copies of events that the source has pruned.

        Yields the size of each part. Raises ContentDiffers.
        """
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in self._compare(self.last):
                if part.extra:
                    with self._update_note(connection, self.last, -add_digests(part.extra)):
                        connection.execute(_delete, {"keys": [row.key for row in part.extra]})
                for row in part.common:
                    self.checksum.update(compute_digest(row))
                self.verified += len(part.common)
                yield len(part.common)

    def copy_leaves(self) -> Iterator[int]:
        """Copy what seals need; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in transfer.read_missing(db.engine, self._target):
                with self._update_note(connection, self.last, 0):
                    self._backend.upsert(connection, part.table, part.rows)
                yield len(part.rows)

    def _read_note(self) -> None:
        ((position,),) = fetch(self._target, highest_key)
        self.position = int(position)
        notes = self._fetch("migration_note", source.notes)
        self._note = _Note(*notes[0]) if notes else None
        if self._note and self._note.source != self._source:
            raise ContentDiffers("it is the copy of another database. Choose an empty database.")
        copied = self._note.last_key if self._note else self.last
        if self.position > copied:
            raise ContentDiffers(
                f"it has events of its own, after the key {copied}. Choose an empty database."
            )
        if self.last < copied:
            raise ContentDiffers(
                f"events up to the key {copied} were copied, but this database has had only "
                f"{self.last}: it was restored from a backup. Choose an empty database."
            )
        self.position = copied if self._note else self.position

    def _check_epochs(self) -> None:
        beginnings = {"key": 0, "last": MAX_ID}
        theirs = self._fetch("epoch", _epochs, beginnings)
        if theirs != fetch(db.engine, _epochs, {"key": 0, "last": self._copied_key()}):
            raise ContentDiffers(
                "it has events of its own, or this database was restored from a backup. "
                "Choose an empty database."
            )

    def _check_seals(self) -> None:
        has_log = target.has_table(self._target, "sealed_log")
        if has_log and transfer.is_ahead(db.engine, self._target):
            raise ContentDiffers("it has seals of its own. Choose an empty database.")

    def _compare(self, last: int) -> Iterator[_Part]:
        """Yield the events up to a key, compared; raises ContentDiffers unless the target has all.

        The source is read first: what it then has, it had when it was copied.
        """
        key = 0
        while key < last:
            bounds = {"key": key, "last": last}
            own, copies = fetch(db.engine, _batch, bounds), fetch(self._target, _batch, bounds)
            end = copies[-1].key if len(copies) == MIGRATE_EVENTS else last
            expected = [row for row in own if row.key <= end]
            keys = {row.key for row in expected}
            common = [row for row in copies if row.key in keys]
            if [tuple(row) for row in common] != [tuple(row) for row in expected]:
                differ = f"the events with the keys {key + 1} to {end} differ."
                raise ContentDiffers(differ if self._note else _UNPROVEN)
            yield _Part(end, common, [row for row in copies if row.key not in keys])
            key = end

    def _rows(self, key: int) -> Sequence[Any]:
        return fetch(db.engine, _batch, {"key": key, "last": self.last})

    @contextmanager
    def _update_note(self, connection: Connection, last: int, change: int) -> Iterator[None]:
        """Run the block in a transaction that notes the last copied key and the changed digest."""
        with target.transaction(self._backend, connection):
            self._check_unchanged(connection)
            yield
            self._copy_epochs(connection, last)
            total = self._sum + change
            note = _Note(self._source, last, format_sum(total))
            connection.execute(update(MigrationNote), note._asdict())
        self._note, self._sum, self.position = note, total, last

    def _check_unchanged(self, connection: Connection) -> None:
        """Raise ContentDiffers if anybody has written to the target since it was proven."""
        notes = [_Note(*row) for row in connection.execute(source.notes)]
        last = connection.execute(highest_key).scalar_one()
        if notes != ([self._note] if self._note else []) or last > self.position:
            raise ContentDiffers("another process has written to it. Choose an empty database.")

    def _copy_epochs(self, connection: Connection, last: int) -> None:
        rows = [row._asdict() for row in fetch(db.engine, _epochs, {"key": 0, "last": last})]
        if rows:
            self._backend.upsert(connection, Base.metadata.tables["epoch"], rows)

    def _fetch(self, table: str, statement: Any, values: Any = None) -> Sequence[Any]:
        """Return rows of the target, none if an older version's lacks the table."""
        has_rows = target.has_table(self._target, table)
        return fetch(self._target, statement, values) if has_rows else []

    def _copied_key(self) -> int:
        return self._note.last_key if self._note else 0

    def _skip_assigned_keys(self, connection: Connection) -> None:
        # A key that the source has assigned is never assigned again.
        self._backend.restart_sequence(connection, "event", "key", max(self.last, 1))


def _count_between(engine: Engine, key: int, last: int) -> int:
    ((events,),) = fetch(engine, _count, {"key": key, "last": last})
    return int(events)
