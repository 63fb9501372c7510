"""Copying the service's SQLite database to PostgreSQL while the service runs.

Events keep their keys and are copied in the order of keys, in one transaction for each batch. The
same transaction updates a note in the target: which database is copied, the last key, and a digest
of the copies. So an interrupted migration continues after the noted key.

Nothing is written to the target before `prove` has shown that it is empty, or holds what the note
says and nothing else. A target without a note, such as one of version 0.1.0, is continued only if
the source has every one of its events. Events that the source has pruned meanwhile are deleted from
the target only if the digest proves that they are copies.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, inspect, select, update

from ..config import MAX_ID
from ..migrations.upgrade import revision_of, upgrade
from ..queries.statements import highest_key
from ..seals import transfer
from ..storage.backend import StorageError
from ..storage.database import backend_of, db, fetch
from ..storage.models import (
    COLUMNS,
    DEFAULT_PROJECT_ID,
    ApiKey,
    Base,
    Epoch,
    Event,
    MigrationNote,
    Project,
)
from ..storage.sql import DateAsText
from ..storage.writer import current_writer
from . import inspection

if TYPE_CHECKING:
    from ..storage.postgresql import PostgreSQL

MIGRATE_EVENTS = 5000
"""Events copied in one transaction, or compared at once."""

PARTITION_EVENTS = 1000
"""Events from which on a day of the past gets a partition of its own."""

_OWN_TABLES = {"event", "epoch", "migration_note", "sealed_log", "seal_leaf"}
_TABLES = [table for table in Base.metadata.sorted_tables if table.name not in _OWN_TABLES]

_text = [
    DateAsText(Event.date) if column == "date" else Event.__table__.c[column] for column in COLUMNS
]
_beyond = (Event.key > bindparam("key"), Event.key <= bindparam("last"))
_batch = select(*_text).where(*_beyond).order_by(Event.key).limit(MIGRATE_EVENTS)
_count = select(func.count()).select_from(Event).where(*_beyond)
_delete = delete(Event).where(Event.key.in_(bindparam("keys", expanding=True)))
_notes = select(MigrationNote.source, MigrationNote.last_key, MigrationNote.digest)
_epochs = (
    select(Epoch.first_key, Epoch.name)
    .where(Epoch.first_key > bindparam("key"), Epoch.first_key <= bindparam("last"))
    .order_by(Epoch.first_key)
)
_projects = select(Project.id, Project.name)
_keys = select(ApiKey.id, ApiKey.digest, ApiKey.name, ApiKey.revoked)


_UNPROVEN = (
    "it has events of its own, or events that this database no longer has, and no note that they "
    "were copied. Choose an empty database."
)


class ContentDiffers(StorageError):
    """The target does not hold what the source holds; the message says where."""


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
    """A copy of the service's database into a PostgreSQL database."""

    def __init__(self, target: Engine) -> None:
        self._target = target
        self._backend = cast("PostgreSQL", backend_of(target))
        self._source = _identify_source()
        self._note: _Note | None = None
        self._sum = 0
        self.last = _find_last_assigned_key()
        self.checksum = sha256()
        self.position = self.copied = self.verified = 0

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        return _count_between(db.engine, self.position, self.last)

    def prove(self) -> Iterator[int]:
        """Check, without writing, that the target holds copies alone; yields the size of each part.

        Raises ContentDiffers and StorageError.
        """
        if not self._has_schema():
            return
        self._read_note()
        self._check_epochs()
        self._check_projects_and_keys()
        self._check_seals()
        for part in self._compare(self.position):
            if part.extra and not self._note:
                raise ContentDiffers(_UNPROVEN)
            self._sum += _add_digests([*part.common, *part.extra])
            yield len(part.common)
        if self._note and self._note.digest != _format_sum(self._sum):
            raise ContentDiffers(
                "its events are not those that were copied. It has been used since. "
                "Choose an empty database."
            )

    def prepare(self) -> None:
        """Create the tables, and copy all but the events; raises StorageError."""
        upgrade(self._target)
        with self._backend.errors(), self._backend.open_writer() as connection:
            with self._backend.transaction(connection):
                self._check_unchanged(connection)
                if not self._note:
                    self._note = _Note(self._source, self.position, _format_sum(self._sum))
                    connection.execute(insert(MigrationNote), self._note._asdict())
                self._copy_epochs(connection, self.position)
                self._copy_tables(connection)
                self._skip_assigned_keys(connection)
            self._backend.create_partitions(connection, _list_busy_days())

    def copy(self) -> Iterator[int]:
        """Copy the missing events; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            while rows := self._rows(self.position):
                with self._update_note(connection, rows[-1].key, _add_digests(rows)):
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
                    with self._update_note(connection, self.last, -_add_digests(part.extra)):
                        connection.execute(_delete, {"keys": [row.key for row in part.extra]})
                for row in part.common:
                    self.checksum.update(_compute_digest(row))
                self.verified += len(part.common)
                yield len(part.common)

    def copy_leaves(self) -> Iterator[int]:
        """Copy what seals need; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in transfer.read_missing(db.engine, self._target):
                with self._update_note(connection, self.last, 0):
                    self._backend.upsert(connection, part.table, part.rows)
                yield len(part.rows)

    def _has_schema(self) -> bool:
        with self._backend.errors(), self._target.connect() as connection:
            if revision_of(connection) is None:
                return False
            inspection.read_revision(connection)  # A newer version's is refused.
        return self._has_table("event")

    def _has_table(self, name: str) -> bool:
        with self._backend.errors(), self._target.connect() as connection:
            return inspect(connection).has_table(name)

    def _read_note(self) -> None:
        ((position,),) = fetch(self._target, highest_key)
        self.position = int(position)
        notes = fetch(self._target, _notes) if self._has_table("migration_note") else []
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
        theirs = fetch(self._target, _epochs, beginnings) if self._has_table("epoch") else []
        if theirs != fetch(db.engine, _epochs, {"key": 0, "last": self._copied_key()}):
            raise ContentDiffers(
                "it has events of its own, or this database was restored from a backup. "
                "Choose an empty database."
            )

    def _check_projects_and_keys(self) -> None:
        own_projects = {(DEFAULT_PROJECT_ID, "default"), *map(tuple, fetch(db.engine, _projects))}
        own_keys = {(row.id, row.digest): row for row in fetch(db.engine, _keys)}
        for row in fetch(self._target, _projects):
            if tuple(row) not in own_projects:
                raise ContentDiffers(
                    f"it has a project of its own, {row.name!r}. Choose an empty database."
                )
        for row in fetch(self._target, _keys):
            own = own_keys.get((row.id, row.digest))
            if own is None:
                raise ContentDiffers(
                    f"it has an API key of its own, {row.name!r}. Choose an empty database."
                )
            if row.revoked and not own.revoked:
                raise ContentDiffers(
                    f"the API key {row.name!r} is revoked there alone. Revoke it here too."
                )

    def _check_seals(self) -> None:
        if self._has_table("sealed_log") and transfer.is_ahead(db.engine, self._target):
            raise ContentDiffers("it has seals of its own. Choose an empty database.")

    def _compare(self, last: int) -> Iterator[_Part]:
        """Yield the events up to a key, compared; raises ContentDiffers unless the target has all.

        The source is read first: what it then has, it had when it was copied.
        """
        key = 0
        while key < last:
            bounds = {"key": key, "last": last}
            source, target = fetch(db.engine, _batch, bounds), fetch(self._target, _batch, bounds)
            end = target[-1].key if len(target) == MIGRATE_EVENTS else last
            expected = [row for row in source if row.key <= end]
            keys = {row.key for row in expected}
            common = [row for row in target if row.key in keys]
            if [tuple(row) for row in common] != [tuple(row) for row in expected]:
                differ = f"the events with the keys {key + 1} to {end} differ."
                raise ContentDiffers(differ if self._note else _UNPROVEN)
            yield _Part(end, common, [row for row in target if row.key not in keys])
            key = end

    def _rows(self, key: int) -> Sequence[Any]:
        return fetch(db.engine, _batch, {"key": key, "last": self.last})

    @contextmanager
    def _update_note(self, connection: Connection, last: int, change: int) -> Iterator[None]:
        """Run the block in a transaction that notes the last copied key and the changed digest."""
        with self._backend.transaction(connection):
            self._check_unchanged(connection)
            yield
            self._copy_epochs(connection, last)
            total = self._sum + change
            note = _Note(self._source, last, _format_sum(total))
            connection.execute(update(MigrationNote), note._asdict())
        self._note, self._sum, self.position = note, total, last

    def _check_unchanged(self, connection: Connection) -> None:
        """Raise ContentDiffers if anybody has written to the target since it was proven."""
        notes = [_Note(*row) for row in connection.execute(_notes)]
        last = connection.execute(highest_key).scalar_one()
        if notes != ([self._note] if self._note else []) or last > self.position:
            raise ContentDiffers("another process has written to it. Choose an empty database.")

    def _copy_epochs(self, connection: Connection, last: int) -> None:
        rows = [row._asdict() for row in fetch(db.engine, _epochs, {"key": 0, "last": last})]
        if rows:
            self._backend.upsert(connection, Base.metadata.tables["epoch"], rows)

    def _copied_key(self) -> int:
        return self._note.last_key if self._note else 0

    def _copy_tables(self, connection: Connection) -> None:
        for table in _TABLES:
            rows = [row._asdict() for row in fetch(db.engine, select(table))]
            if not rows:
                continue
            self._backend.upsert(connection, table, rows)
            if "id" in table.columns:
                last = max(row["id"] for row in rows)
                self._backend.restart_sequence(connection, f"{table.name}_id_seq", last)

    def _skip_assigned_keys(self, connection: Connection) -> None:
        # A key that the source has assigned is never assigned again.
        self._backend.restart_sequence(connection, "event_key_seq", max(self.last, 1))


def _identify_source() -> str:
    """Return the random identity of the service's database, created by its first migration."""
    for row in fetch(db.engine, _notes):
        return str(row.source)
    with current_writer().transaction() as connection:
        note = _Note(secrets.token_hex(16), 0, _format_sum(0))
        connection.execute(insert(MigrationNote), note._asdict())
    return note.source


def _list_busy_days() -> list[date]:
    events: Counter[date] = Counter()
    with db.engine.connect() as source:
        for day in inspection.count_by_day(source):
            events[date.fromisoformat(day.day)] += day.events
    return [day for day, number in events.items() if number >= PARTITION_EVENTS and day < date.max]


def _find_last_assigned_key() -> int:
    backend = backend_of(db.engine)
    with backend.errors(), db.engine.connect() as connection:
        return backend.last_assigned_key(connection)


def _count_between(engine: Engine, key: int, last: int) -> int:
    ((events,),) = fetch(engine, _count, {"key": key, "last": last})
    return int(events)


def _compute_digest(row: Any) -> bytes:
    return sha256(repr(tuple(row)).encode()).digest()


def _add_digests(rows: Iterable[Any]) -> int:
    # A sum can be continued, and events can be taken out of it.
    return sum(int.from_bytes(_compute_digest(row)) for row in rows)


def _format_sum(total: int) -> str:
    return f"{total % 2**256:064x}"
