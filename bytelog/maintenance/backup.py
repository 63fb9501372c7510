"""Copying the live database to a file, which gets its name only after it has been verified."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from ..storage.database import backend_of, db
from ..storage.errors import StorageBusy, StorageError, StorageFull
from ..storage.models import Event
from ..storage.sqlite_connection import driver
from . import inspection, snapshots
from .replacement import follow_links

COPY_PAGES = 256
"""Pages of the database copied in one step: a mebibyte."""

COPY_PAUSE_FACTOR = 1
"""Length of the pause after a step, as a multiple of its duration: others use the disk then."""

Report = Callable[[int, int], None]
"""Called with the number of pages copied so far, and the number of all pages."""


class _Content(NamedTuple):
    revision: str
    events: int


def write(target: Path, report: Report) -> int:
    """Copy the service's database to a file; returns the number of events in it.

    An existing file is replaced after the copy has been verified, and left unchanged if anything
    fails. Raises StorageError and OSError.
    """
    target = follow_links(target)
    snapshots.check_target(backend_of(db.engine).file(), target)
    try:
        folder = TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise StorageError(
            f"no file can be created in {target.parent}: {error.strerror}. Choose another folder."
        ) from error
    with folder, _explain_errors():
        copy = Path(folder.name) / target.name
        content = _copy(copy, report)
        snapshots.run_interruptibly(partial(_verify, copy, content))
        _sync(copy)
        copy.replace(target)
        _sync(target.parent)
    return content.events


@contextmanager
def _explain_errors() -> Iterator[None]:
    try:
        yield
    except StorageFull as error:
        raise StorageFull(f"{error}. Free disk space, or choose another folder.") from error
    except StorageBusy:
        raise
    except StorageError as error:
        raise StorageError(f"the backup failed: {error}. Run `bytelog check`.") from error


def _copy(copy: Path, report: Report) -> _Content:
    with snapshots.open_service() as connection:
        content = _read_content(connection)
        size = backend_of(db.engine).file().stat().st_size
        if shutil.disk_usage(copy.parent).free < size:
            raise StorageFull(f"the copy needs {size} bytes, which the disk does not have")
        os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
        _copy_pages(driver(connection), copy, report)
    return content


def _copy_pages(source: sqlite3.Connection, copy: Path, report: Report) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        # SQLite need not sync: `pause` does after each step.
        target.execute("PRAGMA synchronous=OFF")
        target.execute("PRAGMA journal_mode=OFF")
        with _open_descriptor(copy) as file:
            source.backup(target, pages=COPY_PAGES, progress=_pace_copy(file, report))
        # In the original's WAL mode, even a reader would create a log beside the copy.
        target.execute("PRAGMA journal_mode=DELETE")


def _pace_copy(file: int, report: Report) -> Callable[[int, int, int], None]:
    """Return a function that reports each step, syncs the copy, and pauses.

    A single sync at the end would make the commits of others wait for the whole copy.
    """
    began = time.monotonic()

    def pause(_: int, remaining: int, pages: int) -> None:
        nonlocal began
        report(pages - remaining, pages)
        os.fdatasync(file)
        time.sleep(COPY_PAUSE_FACTOR * (time.monotonic() - began))
        began = time.monotonic()

    return pause


def _read_content(connection: Connection) -> _Content:
    events = connection.execute(select(func.count()).select_from(Event)).scalar_one()
    return _Content(inspection.read_revision(connection), events)


def _verify(copy: Path, expected: _Content) -> None:
    with snapshots.open_file(copy) as connection:
        problem = backend_of(connection.engine).maintenance.find_damage(connection)
        if problem or _read_content(connection) != expected:
            raise StorageError(f"the copy is damaged: {problem or 'its events differ'}")


def _sync(path: Path) -> None:
    with _open_descriptor(path) as file:
        os.fsync(file)


@contextmanager
def _open_descriptor(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)
