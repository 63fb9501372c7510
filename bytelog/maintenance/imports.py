"""Importing events from a file.

An import stores batches, each in a transaction with a checkpoint: the number of bytes of the file
that are stored, and their digest. After any interruption, the next import looks for the longest
beginning of its file among the checkpoints of the project, and continues after it. So importing the
same file again adds nothing, a file that has grown adds its new events, and a different file is
imported from its beginning.
"""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import tzinfo
from gzip import BadGzipFile
from hashlib import sha256
from pathlib import Path
from typing import IO

from marshmallow import ValidationError
from sqlalchemy import Connection, func, insert, select, update

from .. import timestamps
from ..auth import projects
from ..config import MAX_BODY_BYTES
from ..events.i_json import InvalidJSON
from ..events.keep_rules import find_oldest
from ..events.schemas import EventFields
from ..storage.backend import Row
from ..storage.database import backend_of, db, fetch
from ..storage.errors import StorageError
from ..storage.models import ImportCheckpoint, Project
from ..storage.writer import current_writer
from . import import_lines
from .import_lines import Lines

IMPORT_EVENTS = 1000
"""Events stored in one transaction of about twenty milliseconds, less than reading them takes."""

MAX_IMPORT_EVENTS = 16_000
"""Events stored in one transaction while no other connection writes: each changes many pages of the
indexes, which are written once per transaction."""

EVENT_BYTES = 1024
"""Mean length of an event above which a transaction stores fewer."""

READ_BYTES = 1024 * 1024
"""Bytes of the file that are read at a time to recognize its stored part."""

DAMAGE = (BadGzipFile, EOFError, zlib.error)
"""What reading a damaged gzip file raises."""


class InvalidLine(Exception):
    """A line is not an event; the message says which line it is and what is wrong with it."""


class ImportInProgress(Exception):
    """Another import into the same project is running."""


class Import:
    """An import of a file into a project.

    `bytes` of the file are stored: `skipped_bytes` by earlier imports, the rest by this one, which
    has stored so many `events`. With `set_aside`, it appends each invalid line to that file and
    continues; `invalid` counts them. `time_zone` is the zone of dates that are numbers.
    """

    def __init__(
        self,
        file: IO[bytes],
        project: str,
        source: str,
        *,
        time_zone: tzinfo | None = None,
        set_aside: Path | None = None,
    ) -> None:
        self._file = file
        self._source = source
        self._time_zone = time_zone
        self._set_aside = set_aside
        read_as = f"{source} {time_zone}" if time_zone else source
        self._digest = sha256(f"{read_as}\n".encode())
        self._oldest = find_oldest(project)
        self._checkpoint_id: int | None = None
        self._rows: list[Row] = []
        self._invalid_lines: list[str] = []
        self._read_bytes = 0
        self._checkpoint_sum = 0
        self._batch_events = IMPORT_EVENTS
        self.bytes = self.events = self.skipped_bytes = self.invalid = 0
        with current_writer().transaction() as connection:
            backend_of(connection.engine).maintenance.prepare_bulk_insert(connection)
            self._project_id = projects.ensure(connection, project)

    def batches(self) -> Iterator[int]:
        """Store the file's new events; yields the number of stored bytes after each batch.

        Raises InvalidLine and DAMAGE once the lines before are stored, ImportInProgress and
        StorageError.
        """
        is_csv = self._source == import_lines.OWN and import_lines.is_csv(self._file)
        self._file.seek(0)
        number = self._skip_stored()
        lines = Lines(self._file, number, self.bytes, self._digest.copy())
        events = (
            import_lines.read_csv(lines, self._oldest)
            if is_csv
            else import_lines.read_json(lines, self._source, self._oldest, self._time_zone)
        )
        try:
            while self._read_event(lines, events):
                self._digest, self._read_bytes = lines.digest.copy(), lines.bytes
                count = len(self._rows) + len(self._invalid_lines)
                size = (lines.bytes - self.bytes) // EVENT_BYTES
                if max(count, size) >= self._batch_events:
                    self._store()
                    yield self.bytes
        except (InvalidLine, *DAMAGE):
            self._store()
            raise
        self._store()
        yield self.bytes

    def _skip_stored(self) -> int:
        """Seek to the end of the stored part of the file; returns the number of its lines."""
        checkpoints = fetch(
            db.engine,
            select(ImportCheckpoint.bytes, ImportCheckpoint.digest)
            .where(ImportCheckpoint.project_id == self._project_id)
            .order_by(ImportCheckpoint.bytes),
        )
        self._checkpoint_sum = sum(row.bytes for row in checkpoints)
        digest, lines, number = self._digest.copy(), 0, 0
        for row in checkpoints:
            for text in _read_chunks(self._file, row.bytes - self._file.tell()):
                digest.update(text)
                lines += text.count(b"\n")
            if digest.hexdigest() == row.digest:
                self.skipped_bytes, self._digest, number = row.bytes, digest.copy(), lines
        self.bytes = self._read_bytes = self._file.seek(self.skipped_bytes)
        return number

    def _read_event(self, lines: Lines, events: Iterator[EventFields]) -> bool:
        """Read one event, or an invalid line that is set aside; return False at the end."""
        lines.begin_record()
        try:
            event = next(events)
            if len(event.data.encode()) > MAX_BODY_BYTES:
                raise ValidationError(f"Must have at most {MAX_BODY_BYTES} bytes.", "data")
            self._rows.append((self._project_id, *event))
        except StopIteration:
            return False
        except (ValidationError, InvalidJSON, csv.Error) as error:
            reason = _describe_error(error)
            if self._set_aside is None:
                raise InvalidLine(f"line {lines.number}: {reason}") from error
            text = lines.record.decode(errors="backslashreplace")
            line = {"line": lines.number, "error": reason, "text": text.rstrip("\r\n")}
            self._invalid_lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        return True

    def _store(self) -> None:
        if self._read_bytes == self.bytes:
            return
        if self._set_aside is not None and self._invalid_lines:
            _append(self._set_aside, "".join(self._invalid_lines))
        self.bytes = self._read_bytes
        with current_writer().transaction() as connection:
            self._check_project(connection)
            self._check_no_other_import(connection)
            stored = current_writer().insert(connection, self._rows) if self._rows else 0
            self._save_checkpoint(connection)
            has_others = backend_of(connection.engine).maintenance.has_other_writers(connection)
        doubled = min(2 * self._batch_events, MAX_IMPORT_EVENTS)
        self._batch_events = IMPORT_EVENTS if has_others else doubled
        self.events += stored
        self.invalid += len(self._invalid_lines)
        self._rows, self._invalid_lines = [], []

    def _check_project(self, connection: Connection) -> None:
        own = select(Project.id).where(Project.id == self._project_id)
        if connection.execute(own).first() is None:
            raise StorageError("the project was deleted. Import again to create it.")

    def _check_no_other_import(self, connection: Connection) -> None:
        if self._sum_checkpoints(connection) != self._checkpoint_sum:
            raise ImportInProgress("another import into this project is running")

    def _save_checkpoint(self, connection: Connection) -> None:
        state = {"digest": self._digest.hexdigest(), "bytes": self.bytes}
        if self._checkpoint_id is None:
            values = {"project_id": self._project_id, "created": timestamps.now(), **state}
            statement = insert(ImportCheckpoint).values(values).returning(ImportCheckpoint.id)
            self._checkpoint_id = connection.execute(statement).scalar_one()
        else:
            is_own = ImportCheckpoint.id == self._checkpoint_id
            connection.execute(update(ImportCheckpoint).where(is_own).values(state))
        self._checkpoint_sum = self._sum_checkpoints(connection)

    def _sum_checkpoints(self, connection: Connection) -> int:
        # Every batch of every import increases the sum, so a changed sum reveals another import.
        total = select(func.coalesce(func.sum(ImportCheckpoint.bytes), 0))
        in_project = ImportCheckpoint.project_id == self._project_id
        return connection.execute(total.where(in_project)).scalar_one()


def _append(path: Path, text: str) -> None:
    """Write at the end of a file, on the disk; raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    with suppress(*DAMAGE):  # The part before the damage may be stored.
        while size > 0 and (text := file.read(min(size, READ_BYTES))):
            size -= len(text)
            yield text


def _describe_error(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problems = error.normalized_messages()  # type: ignore[no-untyped-call]
        return " ".join(
            text if name == "_schema" else f"{name}: {text}"
            for name, texts in problems.items()
            for text in texts
        )
    if isinstance(error, InvalidJSON):
        return f"Not I-JSON: {error}.".replace("line 1 column", "column")
    return f"Not CSV: {error}."
