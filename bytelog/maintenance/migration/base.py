"""What both kinds of migration do: copy events in the order of keys, and prove what is copied.

Each batch of events is copied in one transaction, which also updates a note in the target: which
database is copied, up to which key, and a digest of the copies. So an interrupted migration
continues after the noted key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from ...storage.database import backend_of
from ...storage.writer import current_writer
from . import source, target
from .digests import MIGRATE_EVENTS, ContentDiffers, add_digests, compute_digest, format_sum

_UNPROVEN = (
    "it has events of its own, or events that this database no longer has, and no note that they "
    "were copied"
)

Row = tuple[Any, ...]
"""The columns of an event, its key in the source first."""


class Note(NamedTuple):
    """What the target's note says."""

    source: str
    last_key: int
    digest: str


class _Part(NamedTuple):
    """The events of both databases in a range of keys: those in both, and the target's others."""

    common: list[Row]
    extra: list[Row]


class Migration(ABC):
    """A copy of the service's events in another database."""

    def __init__(self, engine: Engine) -> None:
        self._target, self._backend = engine, backend_of(engine)
        self._maintenance = self._backend.maintenance
        self._source = source.identify()
        self._note: Note | None = None
        self._sum = 0
        self.last = current_writer().last_assigned_key()
        self.position = self.copied = self.verified = 0
        self.checksum = sha256()

    @abstractmethod
    def prove(self) -> Iterator[int]:
        """Check, without writing, that only copies would be changed.

        Yields the number of events in each part. Raises ContentDiffers and StorageError.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Create the tables, and copy all but the events; raises StorageError."""

    @abstractmethod
    def count_missing(self) -> int:
        """Return how many events are still to be copied."""

    def copy(self) -> Iterator[int]:
        """Copy the missing events; yields the size of each batch. Raises StorageError."""
        with self._backend.errors(), self._backend.open_writer() as connection:
            while rows := self._read_own(self.position, self.last, MIGRATE_EVENTS):
                with self._update_note(connection, rows[-1][0], add_digests(rows)):
                    self._insert(connection, rows)
                self.copied += len(rows)
                yield len(rows)
            with self._update_note(connection, self.last, 0):
                pass

    def verify(self) -> Iterator[int]:
        """Compare all events, and delete the copies of events that the source has deleted.

        Yields the number of events in each part. Raises ContentDiffers.
        """
        with self._backend.errors(), self._backend.open_writer() as connection:
            for part in self._compare(self.last):
                if part.extra:
                    with self._update_note(connection, self.last, -add_digests(part.extra)):
                        self._delete(connection, part.extra)
                for row in part.common:
                    self.checksum.update(compute_digest(row))
                self.verified += len(part.common)
                yield len(part.common)

    def _prove_copies(self) -> Iterator[int]:
        """Compare the events up to the noted key; yields the number of events in each part."""
        for part in self._compare(self.position):
            self._sum += add_digests([*part.common, *part.extra])
            yield len(part.common)
        if self._note and self._note.digest != format_sum(self._sum):
            raise self._refuse("its events are not those that were copied")

    def _compare(self, last: int) -> Iterator[_Part]:
        """Yield the events up to a key, compared; raises ContentDiffers unless the target has all.

        Without a note, the target must have no others either. The source is read first: what it
        then has, it had when it was copied.
        """
        key = 0
        while key < last:
            own = self._read_own(key, last, MIGRATE_EVENTS)
            copies = self._read_copies(key, last, MIGRATE_EVENTS)
            end = copies[-1][0] if len(copies) == MIGRATE_EVENTS else last
            expected = [row for row in own if row[0] <= end]
            keys = {row[0] for row in expected}
            common = [row for row in copies if row[0] in keys]
            extra = [row for row in copies if row[0] not in keys]
            if not self._note and (extra or common != expected):
                raise self._refuse(_UNPROVEN)
            if common != expected:
                raise self._refuse(f"the events with the keys {key + 1} to {end} differ")
            yield _Part(common, extra)
            key = end

    @contextmanager
    def _update_note(self, connection: Connection, last: int, change: int) -> Iterator[None]:
        """Run the block in a transaction that notes the last copied key and the changed digest."""
        total = self._sum + change
        note = Note(self._source, last, format_sum(total))
        with target.transaction(self._backend, connection):
            self._check_unchanged(connection)
            yield
            self._write_note(connection, note)
        self._note, self._sum, self.position = note, total, last

    def _is_noted(self, notes: Iterable[Any]) -> bool:
        """Return whether the target's notes are what this migration has read or written."""
        return [tuple(row) for row in notes] == ([self._note] if self._note else [])

    @abstractmethod
    def _read_own(self, key: int, last: int, rows: int) -> list[Row]:
        """Return the first events of the source after a key and up to another."""

    @abstractmethod
    def _read_copies(self, key: int, last: int, rows: int) -> list[Row]:
        """Return the first events of the target, which have keys of the source, as `_read_own`."""

    @abstractmethod
    def _insert(self, connection: Connection, rows: list[Row]) -> None:
        """Insert a batch into the target, within a transaction."""

    @abstractmethod
    def _delete(self, connection: Connection, rows: list[Row]) -> None:
        """Delete copies of deleted events, within a transaction."""

    @abstractmethod
    def _write_note(self, connection: Connection, note: Note) -> None:
        """Replace the note in the target, within a transaction."""

    @abstractmethod
    def _check_unchanged(self, connection: Connection) -> None:
        """Raise ContentDiffers if anybody else has written to the target since `prove`."""

    @abstractmethod
    def _refuse(self, reason: str) -> ContentDiffers:
        """Return the error for a target that differs, with what to do."""
