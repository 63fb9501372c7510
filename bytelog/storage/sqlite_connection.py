"""SQLite connections: their pragmas, and access to the driver's own connection."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, event

from ..config import PAGE_BYTES
from . import nul, numbers

WAL_LIMIT_BYTES = 16 * 1024 * 1024
"""Size to which the write-ahead log is truncated after a checkpoint."""

PRAGMAS = {
    # Readers do not block the writer, and the writer does not block readers.
    "journal_mode": "WAL",
    # A commit is on the disk when it returns; NORMAL would lose the last commits in a power cut.
    "synchronous": "FULL",
    # A long transaction, such as an import, must not leave a log of its size behind.
    "journal_size_limit": str(WAL_LIMIT_BYTES),
    # Entries that move to another page of an index should leave no copy, which would remain when an
    # event is erased later. FAST writes no page only for that.
    "secure_delete": "FAST",
    # A key gives access only if its project exists, and a trigger skips events of those that were
    # deleted meanwhile. Checking each event again would need a journal of each INSERT.
    "foreign_keys": "OFF",
    # Only the writer's connection writes: before 3.51.3, SQLite can damage the file when two
    # connections write or checkpoint at the same moment.
    "query_only": "ON",
}


def configure_connections(engine: Engine, *, checkpoints: bool) -> None:
    """Set the pragmas and limits of each connection when it is opened."""
    event.listen(engine, "connect", _configure_connection)
    if not checkpoints:
        event.listen(engine, "connect", _disable_checkpoints)


def is_in_memory(url: URL) -> bool:
    """Return whether a URL names a database in memory."""
    return url.database in (None, "", ":memory:")


def read_pragma(connection: Connection, name: str) -> int:
    """Return the value of a numeric pragma."""
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _configure_connection(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    if cursor.execute("PRAGMA page_count").fetchone() == (0,):
        # Possible in an empty file only; otherwise the file cannot shrink before a VACUUM.
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for name, value in PRAGMAS.items():
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()
    numbers.register_functions(connection)
    nul.register_functions(connection)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, PAGE_BYTES)


def _disable_checkpoints(connection: Any, _: object) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=0").close()
