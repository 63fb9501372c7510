"""Copying one project to a database that may have others, while both databases are in use.

A note in the target says from which database the project is copied, up to which key, and has a
digest of the copies. Each batch of events is copied in one transaction with the changed note. The
target's project is written to only if it is empty, or is proven to be the copy that the note
describes. Its events have other keys there; `key_ranges` says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Engine, Table, func, insert, select, update

from ...auth import projects
from ...migrations.upgrade import upgrade
from ...storage import epochs
from ...storage.database import backend_of, db, fetch
from ...storage.deletion import Position, delete_events
from ...storage.models import (
    COLUMNS,
    CursorSecret,
    Event,
    IdempotencyKey,
    MovedProject,
    MovedRange,
    Project,
)
from . import project_rows, source, target
from .digests import MIGRATE_EVENTS, ContentDiffers, add_digests, compute_digest, format_sum
from .key_ranges import Range, batch, extend, read_copies, read_ranges

_moved = select(MovedProject.source, MovedProject.last_key, MovedProject.digest)


class _Note(NamedTuple):
    source: str
    last_key: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Part:
    last: int
    common: list[tuple[Any, ...]]
    extra: list[tuple[Any, ...]]


class ProjectMigration:
    """A copy of one project of the service in another database."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._target, self._backend = engine, backend_of(engine)
        self._own_id = projects.find(name)
        self._source = source.identify()
        self._id: int | None = None
        self._note: _Note | None = None
        self._ranges: list[Range] = []
        self._sum = 0
        self.last = source.find_last_assigned_key()
        self.position = self.copied = self.verified = 0
        self.checksum = sha256()

    def prove(self) -> Iterator[int]:
        """Check, without writing, that the project is empty there or a copy of this one.

        Yields the size of each part. Raises ContentDiffers and StorageError.
        """
        if not target.has_schema(self._target):
            return
        self._check_return()
        self._read_note()
        project_rows.check_keys(self._target, self._own_id, self._id)
        if self._id is None:
            return
        for part in self._compare(self.position):
            self._sum += add_digests([*part.common, *part.extra])
            yield len(part.common)
        if self._note and self._note.digest != format_sum(self._sum):
            raise ContentDiffers(self._explain("its events are not those that were copied"))

    def prepare(self) -> None:
        """Create the project, and copy its keys and imports; raises StorageError."""
        upgrade(self._target)
        backend = self._backend
        with (
            backend.errors(),
            backend.open_writer() as connection,
            target.transaction(backend, connection),
        ):
            self._id = projects.ensure(connection, self.name)
            self._check_unchanged(connection)
            if not self._note:
                self._note = self._create_note(connection, self._id)
            # Cursors must not continue if a backup of the target is restored.
            epochs.begin(backend, connection)
            project_rows.copy_rows(connection, backend, self._own_id, self._id)

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        beyond = (Event.key > self.position, Event.key <= self.last)
        count = select(func.count()).where(Event.project_id == self._own_id, *beyond)
        ((events,),) = fetch(db.engine, count)
        return int(events)

    def copy(self) -> Iterator[int]:
        """Copy the missing events, then the idempotency keys; yields the events of each batch."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            while rows := self._read_own(self.position, self.last):
                with self._update_note(connection, rows[-1][0], add_digests(rows)):
                    added = self._insert(connection, rows)
                self._ranges = [*(r for r in self._ranges if r.first_key < added.first_key), added]
                self.copied += len(rows)
                yield len(rows)
            with self._update_note(connection, self.last, 0):
                pass
            for tokens in project_rows.read_tokens(self._own_id, cast("int", self._id)):
                with target.transaction(self._backend, connection):
                    self._backend.upsert(
                        connection, cast("Table", IdempotencyKey.__table__), tokens
                    )

    def verify(self) -> Iterator[int]:
        """Compare all events, and delete the copies of events that the source has deleted.

        Yields the size of each part. Raises ContentDiffers.
        """
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in self._compare(self.last):
                if part.extra:
                    with self._update_note(connection, self.last, -add_digests(part.extra)):
                        delete_events(connection, [self._locate(row) for row in part.extra])
                for row in part.common:
                    self.checksum.update(compute_digest(row))
                self.verified += len(part.common)
                yield len(part.common)

    def _read_note(self) -> None:
        ids = fetch(self._target, select(Project.id).where(Project.name == self.name))
        if not ids:
            return
        self._id = int(ids[0].id)
        moved = fetch(self._target, _moved.where(MovedProject.project_id == self._id))
        self._note = _Note(*moved[0]) if moved else None
        self._check_origin()
        if self._note:
            self._ranges = read_ranges(self._target, self._id)
            self.position = self._note.last_key
        with self._backend.errors(), self._target.connect() as connection:
            self._check_unchanged(connection)

    def _check_origin(self) -> None:
        if self._note and self._note.source != self._source:
            raise ContentDiffers(self._explain("it was copied from another database"))
        if self._note and self._note.last_key > self.last:
            raise ContentDiffers(self._explain("this database was restored from a backup"))

    def _check_return(self) -> None:
        """Raise ContentDiffers if the project came from the target: old cursors would be wrong."""
        if not target.has_table(self._target, "moved_project"):
            raise ContentDiffers("an older version wrote it. Start this version there once.")
        own = select(MovedProject.source).where(MovedProject.project_id == self._own_id)
        origins = {row.source for row in fetch(db.engine, own)}
        if origins & {row.source for row in fetch(self._target, source.notes)}:
            raise ContentDiffers(
                f"the project {self.name!r} came from there, and clients may still have "
                "cursors of that time. Choose another database."
            )

    def _compare(self, last: int) -> Iterator[_Part]:
        """Yield the events up to a key, compared; raises ContentDiffers unless the target has all.

        The source is read first: what it then has, it had when it was copied.
        """
        key = 0
        while key < last:
            own = self._read_own(key, last)
            project_id = cast("int", self._id)
            copies = read_copies(self._target, project_id, self._ranges, key, MIGRATE_EVENTS)
            end = copies[-1][0] if len(copies) == MIGRATE_EVENTS else last
            expected = [row for row in own if row[0] <= end]
            keys = {row[0] for row in expected}
            common = [row for row in copies if row[0] in keys]
            if common != expected:
                raise ContentDiffers(
                    self._explain(f"the events with the keys {key + 1} to {end} differ")
                )
            yield _Part(end, common, [row for row in copies if row[0] not in keys])
            key = end

    def _read_own(self, key: int, last: int) -> list[tuple[Any, ...]]:
        values = {"project_id": self._own_id, "first": key + 1, "last": last}
        return [tuple(row) for row in fetch(db.engine, batch, {**values, "rows": MIGRATE_EVENTS})]

    def _insert(self, connection: Connection, rows: list[tuple[Any, ...]]) -> Range:
        """Insert a batch with keys after all that the target has assigned."""
        assigned = self._backend.last_assigned_key(connection)
        added = extend(self._ranges, [row[0] for row in rows], assigned)
        self._backend.restart_sequence(connection, "event", "key", added.last_key + added.shift)
        copies = [(key + added.shift, self._id, *fields) for key, *fields in rows]
        self._backend.copy(connection, COLUMNS, copies)
        row = {"project_id": self._id, **added._asdict()}
        self._backend.upsert(connection, cast("Table", MovedRange.__table__), [row])
        return added

    @contextmanager
    def _update_note(self, connection: Connection, last: int, change: int) -> Iterator[None]:
        """Run the block in a transaction that notes the last copied key and the changed digest."""
        total = self._sum + change
        note = _Note(self._source, last, format_sum(total))
        with target.transaction(self._backend, connection):
            self._check_unchanged(connection)
            yield
            of_project = update(MovedProject).where(MovedProject.project_id == self._id)
            connection.execute(of_project.values(note._asdict()))
        self._note, self._sum, self.position = note, total, last

    def _create_note(self, connection: Connection, project_id: int) -> _Note:
        ((secret,),) = fetch(db.engine, select(CursorSecret.value))
        note = _Note(self._source, 0, format_sum(0))
        values = {"project_id": project_id, "secret": secret, **note._asdict()}
        connection.execute(insert(MovedProject), values)
        return note

    def _check_unchanged(self, connection: Connection) -> None:
        """Raise ContentDiffers if the project has events there that were not copied."""
        if self._id is None:
            return
        of_project = MovedProject.project_id == self._id
        notes = [_Note(*row) for row in connection.execute(_moved.where(of_project))]
        last = self._ranges[-1].last_key + self._ranges[-1].shift if self._ranges else 0
        own = select(Event.key).where(Event.project_id + 0 == self._id, Event.key > last)
        has_own = connection.execute(own.order_by(Event.key).limit(1)).first()
        if has_own or notes != ([self._note] if self._note else []):
            raise ContentDiffers(self._explain("it has events of its own"))

    def _locate(self, row: tuple[Any, ...]) -> Position:
        key = row[0]
        shift = next(range_.shift for range_ in self._ranges if range_.last_key >= key)
        return Position(key + shift, row[4])

    def _explain(self, reason: str) -> str:
        return f"there is a project {self.name!r}, and {reason}. Choose another database."
