"""A copy of the live database: made, looked through, and only then given its name."""

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

from ..storage.backend import StorageBusy, StorageError, StorageFull
from ..storage.database import backend_of, db
from ..storage.models import Event
from ..storage.sqlite_connection import driver
from . import inspection, snapshots

COPY_PAGES = 256
"""Pages of the database copied in one step, a mebibyte."""

COPY_PAUSE_FACTOR = 1
"""How many times as long as a step took the pause after it is, so that others can use the disk."""


Report = Callable[[int, int], None]
"""Is told how many pages have been copied, and how many there are."""

_LIVE_FILES = (*snapshots.SIDE_FILES, "-shm", "-lock")


class _Content(NamedTuple):
    revision: str
    events: int


def write(target: Path, report: Report) -> int:
    """Copy the service's database to a file; returns how many events are in it.

    A file that is there is replaced once the copy has been found to be whole, and left alone if
    anything fails. Raises StorageError and OSError.
    """
    target = target.resolve()
    _refuse_live_files(target)
    try:
        folder = TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise StorageError(
            f"no file can be made in {target.parent}: {error.strerror}. Choose another folder."
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
        raise StorageFull(f"{error}. Make room, or choose another folder.") from error
    except StorageBusy:
        raise
    except StorageError as error:
        raise StorageError(f"no copy was made: {error}. See what `bytelog check` says.") from error


def _refuse_live_files(target: Path) -> None:
    live = backend_of(db.engine).file().resolve()
    if target in (live, *(live.with_name(live.name + ending) for ending in _LIVE_FILES)):
        raise StorageError(f"{target} belongs to the live database. Choose another name.")
    if target.exists() and not target.is_file():
        raise StorageError(f"{target} is not a file. Choose another name.")
    used = [target.name + ending for ending in snapshots.SIDE_FILES]
    if any(target.with_name(name).exists() for name in used):
        raise StorageError(
            f"{target} is a database in use: {' or '.join(used)} is beside it. Choose another name."
        )


def _copy(copy: Path, report: Report) -> _Content:
    with snapshots.open_service() as connection:
        content = _read_content(connection)
        size = backend_of(db.engine).file().stat().st_size
        if shutil.disk_usage(copy.parent).free < size:
            raise StorageFull(f"the copy takes {size} bytes, for which there is no room")
        os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
        _copy_pages(driver(connection), copy, report)
    return content


def _copy_pages(source: sqlite3.Connection, copy: Path, report: Report) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        # It is synced here, step by step.
        target.execute("PRAGMA synchronous=OFF")
        target.execute("PRAGMA journal_mode=OFF")
        with _open(copy) as file:
            source.backup(target, pages=COPY_PAGES, progress=_pace(file, report))
        # Like the original it would else want a log beside it, even for reading.
        target.execute("PRAGMA journal_mode=DELETE")


def _pace(file: int, report: Report) -> Callable[[int, int, int], None]:
    """Return what keeps the commits of others from waiting for the copy to get to the disk."""
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
    return _Content(inspection.describe_revision(connection), events)


def _verify(copy: Path, expected: _Content) -> None:
    with snapshots.open_file(copy) as connection:
        problem = inspection.find_damage(connection)
        if problem or _read_content(connection) != expected:
            raise StorageError(f"it is not whole: {problem or 'it has other events'}")


def _sync(name: Path) -> None:
    with _open(name) as file:
        os.fsync(file)


@contextmanager
def _open(name: Path) -> Iterator[int]:
    file = os.open(name, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)
