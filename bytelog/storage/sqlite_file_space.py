"""Free space in an SQLite file and its return to the disk, and the write-ahead log."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlalchemy import Connection

from ..config import BUSY_SECONDS
from .backend import Backend
from .file_space import FileSpace, LogState
from .sqlite_connection import read_pragma

LOG_WAIT_SECONDS = 0.02
"""How long emptying the log waits for readers: writers wait meanwhile."""


class SQLiteFileSpace(FileSpace):
    """The free pages of an SQLite file. Its methods raise StorageError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return self._backend.file().stat().st_size

    def free_pages(self) -> int:
        """Return the number of free pages."""
        return self._read("freelist_count")

    def can_shrink(self) -> bool:
        """Return whether the file can shrink in small steps.

        A file of bytelog 0.1 cannot until `rewrite` has converted it.
        """
        return self._read("auto_vacuum") > 0

    def release_page(self, connection: Connection) -> int | None:
        """Release a free page to the disk, in a transaction; returns 1, None if there is none."""
        if not read_pragma(connection, "freelist_count"):
            return None
        # SQLite releases one page for each step of this statement. The driver makes a single step
        # for a statement without columns, so a higher number would release no more.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        return 1

    def empty_log(self, connection: Connection) -> bool:
        """Checkpoint the log, which truncates the file; returns whether it was completed.

        Also returns True if BYTELOG_CHECKPOINTS is off, because then another program checkpoints.
        """
        if not read_pragma(connection, "wal_autocheckpoint"):
            return True
        _, pages, written = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        return bool(pages == written)

    def truncate_log(self, connection: Connection) -> LogState:
        """Checkpoint the log and truncate it to nothing, if no reader uses it.

        Leaves the log to the program that checkpoints if BYTELOG_CHECKPOINTS is off.
        """
        if not read_pragma(connection, "wal_autocheckpoint"):
            return LogState.CHECKPOINTS_OFF
        _set_timeout(connection, LOG_WAIT_SECONDS)
        try:
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        finally:
            _set_timeout(connection, BUSY_SECONDS)
        return LogState.IN_USE if is_busy else LogState.EMPTY

    def rewrite(self) -> None:
        """Rewrite the file without free pages, so that it can shrink later.

        Raises StorageBusy while any other connection is open.
        """
        file = self._backend.file()
        connection = sqlite3.connect(file, timeout=0, isolation_level=None)
        with self._backend.errors(), closing(connection):
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("VACUUM")

    def _read(self, pragma: str) -> int:
        with self._backend.errors(), self._backend.engine.connect() as connection:
            return read_pragma(connection, pragma)


def fill_log(writing: Connection) -> None:
    """Write a page to the write-ahead log, which must not be empty when a snapshot begins.

    A reader that starts with an empty log reads only the file, and prevents checkpoints from
    writing to it. Then every commit would try a checkpoint and sort the growing log. The page is
    written twice, because a commit that fills the log also empties it.
    """
    for _ in range(2):
        version = writing.exec_driver_sql("PRAGMA user_version").scalar()
        writing.exec_driver_sql(f"PRAGMA user_version={version}")


def _set_timeout(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(1000 * seconds)}").scalar()
