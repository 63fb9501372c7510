"""Events out of the database into a file, and out of a file into the database.

An import stores one batch after the other, each in a transaction with a checkpoint: how many bytes
of the file are stored now, and their digest. So whatever ends an import, the next one finds the
longest beginning of its file that a checkpoint of its project knows, and goes on after it. The same
file again adds nothing, one that has grown adds what is new, and another starts at its beginning.
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
"""Events stored in one transaction: about twenty milliseconds, less than it takes to read them."""

IMPORT_BYTES = MAX_BODY_BYTES
"""Bytes of lines after which an import stores what it has read."""


class InvalidLine(Exception):
    """A line is not an event; the message says which line it is and what is wrong with it."""


class ImportInProgress(Exception):
    """Another import into the same project goes on at the same time."""


@contextmanager
def replacement(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes a path's place when it is complete; only its owner can read it."""
    try:
        with _temporary_file(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
    except OSError as error:
        raise OSError(
            f"{path} cannot be written: {error.strerror}. Make room, or choose another file."
        ) from error


class Import:
    """A file on its way into a project.

    This import stores `events`, after the `known` bytes that were stored before; now it is `bytes`.
    """

    def __init__(self, file: IO[bytes], project: str, source: str) -> None:
        self._file = file
        self._source = source
        self._digest = sha256(f"{source}\n".encode())
        self._checkpoint_id: int | None = None
        self._rows: list[Row] = []
        self._text = bytearray()
        self._stored_by_all = 0
        self.bytes = self.events = self.known = 0
        with current_writer().transaction() as connection:
            backend_of(connection.engine).prepare_bulk_insert(connection)
            self._project_id = projects.ensure(connection, project)

    def batches(self) -> Iterator[int]:
        """Store what is new in the file; yields the bytes that are stored after each batch.

        Raises InvalidLine once the lines before it are stored, ImportInProgress and StorageError.
        """
        lines = Lines(self._file, self._skip_known())
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

    def _skip_known(self) -> int:
        """Go behind what is stored; returns the number of the line there."""
        found = fetch(
            db.engine,
            select(ImportCheckpoint.bytes, ImportCheckpoint.digest)
            .where(ImportCheckpoint.project_id == self._project_id)
            .order_by(ImportCheckpoint.bytes),
        )
        self._stored_by_all = sum(row.bytes for row in found)
        digest, lines, number = self._digest.copy(), 0, 0
        for row in found:
            for text in _read_chunks(self._file, row.bytes - self._file.tell()):
                digest.update(text)
                lines += text.count(b"\n")
            if digest.hexdigest() == row.digest:
                self.known, self._digest, number = row.bytes, digest.copy(), lines
        self.bytes = self._file.seek(self.known)
        return number

    def _events(self, lines: Lines) -> Iterator[EventFields]:
        try:
            for members in import_lines.read(lines, self._source):
                event = schemas.load_event(members)
                if len(event["data"].encode()) > MAX_BODY_BYTES:
                    raise ValidationError(f"Must have {MAX_BODY_BYTES} bytes at most.", "data")
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
        if self._sum_bytes(connection) != self._stored_by_all:
            raise ImportInProgress("another import into this project is under way")

    def _save_checkpoint(self, connection: Connection) -> None:
        state = {"digest": self._digest.hexdigest(), "bytes": self.bytes}
        if self._checkpoint_id is None:
            fresh = {"project_id": self._project_id, "created": timestamps.now(), **state}
            added = insert(ImportCheckpoint).values(fresh).returning(ImportCheckpoint.id)
            self._checkpoint_id = connection.execute(added).scalar_one()
        else:
            mine = ImportCheckpoint.id == self._checkpoint_id
            connection.execute(update(ImportCheckpoint).where(mine).values(state))
        self._stored_by_all = self._sum_bytes(connection)

    def _sum_bytes(self, connection: Connection) -> int:
        # Grows with every batch of every import, so that it tells whether another one is at work.
        total = select(func.coalesce(func.sum(ImportCheckpoint.bytes), 0))
        mine = ImportCheckpoint.project_id == self._project_id
        return connection.execute(total.where(mine)).scalar_one()


@contextmanager
def _temporary_file(folder: Path) -> Iterator[IO[bytes]]:
    with NamedTemporaryFile(dir=folder, prefix=".bytelog-", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise


def _read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (text := file.read(min(size, IMPORT_BYTES))):
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
