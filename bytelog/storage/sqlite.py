"""SQLite: one file, set up for readers who do not wait and commits that are on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, CursorResult, Engine, event

from ..config import BUSY_SECONDS, GROUP_EVENTS, IMPORT_CACHE_BYTES, PAGE_BYTES, WAL_LIMIT_BYTES
from .backend import (
    Backend,
    Row,
    StorageBusy,
    StorageError,
    StorageFull,
    TextTooLong,
    UnusableDatabase,
    check_process,
)
from .file_lock import DatabaseFile

PRAGMAS = {
    # Readers do not block the writer, nor the writer readers.
    "journal_mode": "WAL",
    # A commit has reached the disk when it returns; NORMAL would lose the last ones in a power cut.
    "synchronous": "FULL",
    # A long transaction, such as an import, does not leave a log of its size behind for good.
    "journal_size_limit": str(WAL_LIMIT_BYTES),
    "foreign_keys": "ON",
    # One connection writes, the writer's: SQLite before 3.51.3 can damage the file when two
    # connections write or checkpoint at the same moment.
    "query_only": "ON",
}


class SQLite(Backend):
    """A file that one process at a time writes to, or a database in memory."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        check_process(engine)
        self._file = DatabaseFile(None if is_in_memory(engine.url) else self.path())

    def path(self) -> str:
        """Return where the database is, for people to read."""
        return self.engine.url.database or str(self.engine.url)

    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has one at a time."""
        connection = self.engine.connect()
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        return connection

    @contextmanager
    def write_lock(self, _: Connection) -> Iterator[None]:
        """Keep bytelog's other processes from writing; raises StorageBusy and StorageError."""
        check_process(self.engine)
        with self._file.write_lock():
            yield

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Run the block in a transaction that holds the write lock from its first statement on."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            # A Ctrl-C in the midst of a statement makes SQLAlchemy close the connection.
            if not connection.invalidated and driver(connection).in_transaction:
                connection.exec_driver_sql("ROLLBACK")
            raise

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events to a transaction."""
        for start in range(0, len(rows), GROUP_EVENTS):
            group = rows[start : start + GROUP_EVENTS]
            values = tuple(value for row in group for value in row)
            connection.exec_driver_sql(_insert_statement(len(group)), values)

    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Keep more of the file in memory."""
        connection.exec_driver_sql(f"PRAGMA cache_size=-{IMPORT_CACHE_BYTES // 1024}")

    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events in a transaction of their own, which a single statement is by itself."""
        if len(rows) <= GROUP_EVENTS:
            self.insert(connection, rows)
            return
        with self.transaction(connection):
            self.insert(connection, rows)

    def execute(
        self, connection: Connection, sql: str, values: tuple[Any, ...]
    ) -> CursorResult[Any]:
        """Run a statement that has a `?` for each value."""
        return connection.exec_driver_sql(sql, values)

    def is_usable_after(self, _: Connection, __: BaseException) -> bool:
        """Tell whether the writing connection can go on after an error: that of a file can."""
        return True

    def close_readers(self) -> None:
        """Close the connections of readers; a database in memory lives in its one connection."""
        if not is_in_memory(self.engine.url):
            super().close_readers()

    def close(self) -> None:
        """Give up the file's lock."""
        self._file.close()


def options(url: URL) -> dict[str, Any]:
    """Return how the engine is made."""
    return {
        "connect_args": {"timeout": BUSY_SECONDS},
        **({} if is_in_memory(url) else {"max_overflow": -1, "pool_use_lifo": True}),
    }


def set_up(engine: Engine, *, checkpoints: bool) -> None:
    """Have each connection set up when it is opened."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "checkout", lambda *_: check_process(engine))
    if not checkpoints:
        event.listen(engine, "connect", _leave_checkpoints)


def is_in_memory(url: URL) -> bool:
    """Tell whether a database ends with its process."""
    return url.database in (None, "", ":memory:")


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def translated(error: BaseException) -> StorageError:
    """Return the error that the rest of bytelog knows for one that the driver raised."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageBusy("another program holds the database; try again")
    kinds = {sqlite3.SQLITE_FULL: StorageFull, sqlite3.SQLITE_TOOBIG: TextTooLong}
    return kinds.get(code, StorageError)(str(error))


def remedy(error: BaseException) -> str:
    """Return what to do about a database that cannot be opened."""
    failure = translated(error)
    if isinstance(failure, StorageBusy):
        return "Another program holds it: end that one, or try again."
    if isinstance(failure, StorageFull) or _code(error) == sqlite3.SQLITE_IOERR:
        return "Make room on its disk, and see that it can be written."
    return "Restore a backup, or name another data folder with BYTELOG_DATA."


def create_file(folder: Path, name: str) -> None:
    """Make the data folder and the file before SQLite does, so that only their owner reads them."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UnusableDatabase(
            f"the database {error.filename} cannot be written: {error.strerror}. Give its folder "
            "to the user that runs bytelog, or choose another with BYTELOG_DATA."
        ) from error


def _code(error: BaseException) -> int:
    # The lower byte; the others tell where in SQLite it happened.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


@lru_cache(GROUP_EVENTS)
def _insert_statement(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO event (project_id, id, name, trace_id, date, data) VALUES {values}"  # noqa: S608


def _set_up(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    if cursor.execute("PRAGMA page_count").fetchone() == (0,):
        # Later it takes a VACUUM: a file made without it never gives its space back.
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for name, value in PRAGMAS.items():
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, PAGE_BYTES)


def _leave_checkpoints(connection: Any, _: object) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=0").close()
