"""Space in an SQLite file: how much is free, and how to return it to the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import cast

from sqlalchemy import Connection

from .backend import Backend, FileSpace


class SQLiteFileSpace(FileSpace):
    """The free pages of an SQLite file. Its methods raise StorageError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return self._backend.file().stat().st_size

    def free_pages(self) -> int:
        """Return how many pages are free."""
        return self._read("freelist_count")

    def can_shrink(self) -> bool:
        """Return whether the file can be shortened in small steps.

        A file of bytelog 0.1 cannot, until `rewrite` has converted it.
        """
        return self._read("auto_vacuum") > 0

    def release_page(self, connection: Connection) -> int:
        """Return a free page to the disk within a transaction; returns how many, 0 or 1."""
        if not read_pragma(connection, "freelist_count"):
            return 0
        # SQLite releases one page for each step of this statement, and the driver steps a
        # statement without columns once, whatever the number says.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        return 1

    def empty_log(self, connection: Connection) -> bool:
        """Checkpoint the log, which gives the file its new length; returns whether that is done.

        Also True if BYTELOG_CHECKPOINTS is off, because another program checkpoints then.
        """
        if not read_pragma(connection, "wal_autocheckpoint"):
            return True
        _, pages, written = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        return bool(pages == written)

    def rewrite(self) -> None:
        """Write the file anew, without free pages and able to shrink.

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


def read_pragma(connection: Connection, name: str) -> int:
    """Return the value of a pragma that is a number."""
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)
