"""Importing events from a file, and writing a file that is complete or does not exist.

An import stores batches, each in a transaction with a checkpoint: the number of bytes of the file
that are stored, and their digest. After any interruption, the next import looks for the longest
beginning of its file among the checkpoints of the project, and continues after it. So importing the
same file again adds nothing, a file that has grown adds its new events, and a different file is
imported from its beginning.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from marshmallow import ValidationError
from sqlalchemy import Connection, func, insert, select, update

from .. import timestamps
from ..auth import projects
from ..config import MAX_BODY_BYTES
from ..events import schemas, store
from ..events.i_json import InvalidJSON
from ..events.schemas import EventFields
from ..storage import writer
from ..storage.backend import Row
from ..storage.database import backend_of, db, fetch
from ..storage.models import ImportCheckpoint
from ..storage.writer import current_writer
from . import import_lines
from .import_lines import Lines

IMPORT_EVENTS = 1000
"""Events stored in one transaction of about twenty milliseconds, less than reading them takes."""

IMPORT_BYTES = MAX_BODY_BYTES
"""Bytes of lines after which an import stores the events that it has read."""


class InvalidLine(Exception):
    """A line is not an event; the message says which line it is and what is wrong with it."""


class ImportInProgress(Exception):
    """Another import into the same project is running."""


@contextmanager
def open_replacement(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file, which replaces `path` once it is complete; only its owner can read it."""
    try:
        with _temporary_file(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
    except OSError as error:
        raise OSError(
            f"{path} cannot be written: {error.strerror}. Free disk space, or choose another file."
        ) from error


class Import:
    """An import of a file into a project.

    `bytes` of the file are stored: `skipped_bytes` by earlier imports, the rest by this one, which
    has stored so many `events`.
    """

    def __init__(self, file: IO[bytes], project: str, source: str) -> None:
        self._file = file
        self._source = source
        self._digest = sha256(f"{source}\n".encode())
        self._checkpoint_id: int | None = None
        self._rows: list[Row] = []
        self._text = bytearray()
        self._checkpoint_sum = 0
        self.bytes = self.events = self.skipped_bytes = 0
        with current_writer().transaction() as connection:
            backend_of(connection.engine).prepare_bulk_insert(connection)
            self._project_id = projects.ensure(connection, project)

    def batches(self) -> Iterator[int]:
        """Store the file's new events; yields the number of stored bytes after each batch.

        Raises InvalidLine after storing the lines before it, ImportInProgress and StorageError.
        """
        lines = Lines(self._file, self._skip_stored())
        try:
            for event in self._events(lines):
                self._rows.append(store.to_row(self._project_id, event))
                self._text += lines.take()
                if len(self._rows) == IMPORT_EVENTS or len(self._text) >= IMPORT_BYTES:
                    self._store()
                    yield self.bytes
        except InvalidLine:
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
        self._checkpoint_sum = sum(checkpoint.bytes for checkpoint in checkpoints)
        digest, lines, skipped_lines = self._digest.copy(), 0, 0
        for checkpoint in checkpoints:
            for chunk in _read_chunks(self._file, checkpoint.bytes - self._file.tell()):
                digest.update(chunk)
                lines += chunk.count(b"\n")
            if digest.hexdigest() == checkpoint.digest:
                self.skipped_bytes, skipped_lines = checkpoint.bytes, lines
                self._digest = digest.copy()
        self.bytes = self._file.seek(self.skipped_bytes)
        return skipped_lines

    def _events(self, lines: Lines) -> Iterator[EventFields]:
        try:
            for members in import_lines.read(lines, self._source):
                event = schemas.load_event(members)
                if len(event["data"].encode()) > MAX_BODY_BYTES:
                    raise ValidationError(f"Must have at most {MAX_BODY_BYTES} bytes.", "data")
                yield event
        except (ValidationError, InvalidJSON, csv.Error) as error:
            raise InvalidLine(f"line {lines.number}: {_describe_error(error)}") from error

    def _store(self) -> None:
        if not self._rows:
            return
        self._digest.update(self._text)
        self.bytes += len(self._text)
        with current_writer().transaction() as connection:
            self._check_no_other_import(connection)
            writer.insert(connection, self._rows)
            self._save_checkpoint(connection)
        self.events += len(self._rows)
        self._rows, self._text = [], bytearray()

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


@contextmanager
def _temporary_file(folder: Path) -> Iterator[IO[bytes]]:
    with NamedTemporaryFile(dir=folder, prefix=".bytelog-", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise


def _read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, IMPORT_BYTES))):
        size -= len(chunk)
        yield chunk


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
