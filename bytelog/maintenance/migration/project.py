"""Copying one project to a database that may have others, while both databases are in use.

The target's project is written to only if it is empty, or is proven to be the copy that the note
describes. Its events have other keys there; `key_ranges` says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from sqlalchemy import Connection, Engine, Table, func, insert, select, update

from ...auth import projects
from ...migrations.upgrade import upgrade
from ...storage import epochs
from ...storage.database import db, fetch
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
from . import api_keys, project_rows, source, target
from .base import Migration, Note, Row
from .digests import ContentDiffers, format_sum
from .key_ranges import Range, batch, extend, read_copies, read_ranges

_moved = select(MovedProject.source, MovedProject.last_key, MovedProject.digest)


class ProjectMigration(Migration):
    """A copy of one project of the service in another database."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name, self._own_id = name, projects.find(name)
        super().__init__(engine)
        self._id: int | None = None
        self._ranges: list[Range] = []

    def prove(self) -> Iterator[int]:
        """Check, without writing, that the project is empty there or a copy of this one."""
        if not target.has_schema(self._target):
            return
        self._check_return()
        self._read_note()
        api_keys.check_project(self._target, self._own_id, self._id)
        if self._id is not None:
            yield from self._prove_copies()

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
            project_rows.copy_rows(connection, self._maintenance, self._own_id, self._id)

    def count_missing(self) -> int:
        """Return how many events are still to be copied."""
        beyond = (Event.key > self.position, Event.key <= self.last)
        count = select(func.count()).where(Event.project_id == self._own_id, *beyond)
        ((events,),) = fetch(db.engine, count)
        return int(events)

    def copy(self) -> Iterator[int]:
        """Copy the missing events, then the idempotency keys; yields the events of each batch."""
        yield from super().copy()
        with self._backend.errors(), self._backend.open_writer() as connection:
            for tokens in project_rows.read_tokens(self._own_id, cast("int", self._id)):
                with target.transaction(self._backend, connection):
                    self._maintenance.upsert(
                        connection, cast("Table", IdempotencyKey.__table__), tokens
                    )

    def _read_note(self) -> None:
        ids = fetch(self._target, select(Project.id).where(Project.name == self.name))
        if not ids:
            return
        self._id = int(ids[0].id)
        moved = fetch(self._target, _moved.where(MovedProject.project_id == self._id))
        self._note = Note(*moved[0]) if moved else None
        self._check_origin()
        if self._note:
            self._ranges = read_ranges(self._target, self._id)
            self.position = self._note.last_key
        with self._backend.errors(), self._target.connect() as connection:
            self._check_unchanged(connection)

    def _check_origin(self) -> None:
        if self._note and self._note.source != self._source:
            raise self._refuse("it was copied from another database")
        if self._note and not self._continues(self._note.last_key):
            raise self._refuse("this database was restored from a backup")

    def _continues(self, last_key: int) -> bool:
        """Return whether this database still has what it had when a key was the last."""
        has_same = project_rows.has_same_epochs(self._target, cast("int", self._id), last_key)
        return last_key <= self.last and has_same

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

    def _read_own(self, key: int, last: int, rows: int) -> list[Row]:
        values = {"project_id": self._own_id, "first": key + 1, "last": last, "rows": rows}
        return [tuple(row) for row in fetch(db.engine, batch, values)]

    def _read_copies(self, key: int, _: int, rows: int) -> list[Row]:
        return read_copies(self._target, cast("int", self._id), self._ranges, key, rows)

    def _insert(self, connection: Connection, rows: list[Row]) -> None:
        # The keys come after all that the target has assigned.
        assigned = self._backend.last_assigned_key(connection)
        added = extend(self._ranges, [row[0] for row in rows], assigned)
        self._maintenance.restart_sequence(connection, "event", "key", added.last_key + added.shift)
        copies = [(key + added.shift, self._id, *fields) for key, *fields in rows]
        self._maintenance.copy(connection, COLUMNS, copies)
        row = {"project_id": self._id, **added._asdict()}
        self._maintenance.upsert(connection, cast("Table", MovedRange.__table__), [row])
        self._ranges = [*(r for r in self._ranges if r.first_key < added.first_key), added]

    def _delete(self, connection: Connection, rows: list[Row]) -> None:
        delete_events(connection, [self._locate(row) for row in rows])

    def _write_note(self, connection: Connection, note: Note) -> None:
        of_project = update(MovedProject).where(MovedProject.project_id == self._id)
        connection.execute(of_project.values(note._asdict()))

    def _create_note(self, connection: Connection, project_id: int) -> Note:
        ((secret,),) = fetch(db.engine, select(CursorSecret.value))
        note = Note(self._source, 0, format_sum(0))
        values = {"project_id": project_id, "secret": secret, **note._asdict()}
        connection.execute(insert(MovedProject), values)
        return note

    def _check_unchanged(self, connection: Connection) -> None:
        """Raise ContentDiffers if the project has events there that were not copied."""
        if self._id is None:
            return
        of_project = MovedProject.project_id == self._id
        is_noted = self._is_noted(connection.execute(_moved.where(of_project)))
        last = self._ranges[-1].last_key + self._ranges[-1].shift if self._ranges else 0
        own = select(Event.key).where(Event.project_id + 0 == self._id, Event.key > last)
        has_own = connection.execute(own.order_by(Event.key).limit(1)).first()
        if has_own or not is_noted:
            raise self._refuse("it has events of its own")

    def _locate(self, row: Row) -> Position:
        key = row[0]
        shift = next(range_.shift for range_ in self._ranges if range_.last_key >= key)
        return Position(key + shift, row[4])

    def _refuse(self, reason: str) -> ContentDiffers:
        message = f"there is a project {self.name!r}, and {reason}. Choose another database."
        return ContentDiffers(message)
