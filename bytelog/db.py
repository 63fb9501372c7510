"""The database: where it is, how each connection is set up, and the types it lacks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, Dialect, Engine, Executable, String, TypeDecorator, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import Pool

from . import timestamps
from .config import BUSY_SECONDS, LOG_BYTES, PAGE_BYTES, SetupError


class Base(DeclarativeBase):
    """The base of every model."""


db = SQLAlchemy(metadata=Base.metadata)

PRAGMAS = {
    # Readers do not block the writer, nor the writer readers.
    "journal_mode": "WAL",
    # A commit has reached the disk when it returns; NORMAL would lose the last ones in a power cut.
    "synchronous": "FULL",
    # A long transaction, such as an import, does not leave a log of its size behind for good.
    "journal_size_limit": str(LOG_BYTES),
    "foreign_keys": "ON",
    # One connection writes, the writer's: SQLite before 3.51.3 can damage the file when two
    # connections write or checkpoint at the same moment.
    "query_only": "ON",
}


_users: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()
"""Which process uses the connections of a pool."""


class UnusableDatabase(SetupError):
    """The database cannot be opened; the message says why and what to do."""


class StorageError(Exception):
    """The database did not do what was asked; nothing of it was stored."""


class StorageBusy(StorageError):
    """Another program holds the database."""


class StorageFull(StorageError):
    """There is no room left on the disk."""


class TextTooLong(StorageError):
    """What was asked for exceeds PAGE_BYTES; ask for less at once."""


class UTCTimestamp(TypeDecorator[datetime]):
    """A moment in UTC, kept by SQLite as text that sorts and reads as a date."""

    impl = String(24)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text for a moment."""
        return None if value is None else timestamps.format_utc(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return the moment for a text."""
        return None if value is None else datetime.fromisoformat(value)


def init_app(app: Flask) -> None:
    """Connect the application to its database; raises UnusableDatabase."""
    default = f"sqlite:///{Path(app.instance_path) / 'bytelog.db'}"
    url = _parsed(app.config["BYTELOG_DATABASE_URL"] or default)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        # No transaction but those that the writer begins: a read that turns into a write fails.
        "isolation_level": "AUTOCOMMIT",
        "connect_args": {"timeout": BUSY_SECONDS},
        **({} if is_in_memory(url) else {"max_overflow": -1, "pool_use_lifo": True}),
    }
    if not is_in_memory(url):
        _create_file(Path(app.instance_path), str(url.database))
    db.init_app(app)
    with app.app_context():
        engine = db.engine
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "checkout", lambda *_: check_process(engine))
        if app.config["BYTELOG_CHECKPOINTS"] == "off":
            event.listen(engine, "connect", _leave_checkpoints)


def path(engine: Engine) -> str:
    """Return where the database is, for people to read."""
    return engine.url.database or engine.url.render_as_string(hide_password=True)


def is_in_memory(url: URL) -> bool:
    """Tell whether a database ends with its process."""
    return url.database in (None, "", ":memory:")


def close_pool(engine: Engine) -> None:
    """Close the connections of readers; a database in memory lives in its one connection."""
    if not is_in_memory(engine.url):
        engine.dispose()


def check_process(engine: Engine) -> None:
    """Raise StorageError in a process that inherited open connections.

    Neither they nor SQLite's notes on its locks are good after a fork: two could write at once.
    """
    if _users.setdefault(engine.pool, os.getpid()) != os.getpid():
        raise StorageError("used before the process forked; use bytelog only in its children.")


def writable(engine: Engine) -> Connection:
    """Open a connection that may write; a process has one at a time."""
    connection = engine.connect()
    connection.exec_driver_sql("PRAGMA query_only=OFF")
    return connection


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@contextmanager
def immediate(connection: Connection) -> Iterator[None]:
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


def fetch(
    engine: Engine, statement: Executable, parameters: dict[str, Any] | None = None
) -> Sequence[Any]:
    """Read rows over a reader's connection; raises StorageError."""
    with storage_errors(), engine.connect() as connection:
        return connection.execute(statement, parameters or {}).all()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageError for what SQLite raises in the block."""
    try:
        yield
    except DBAPIError as error:
        raise translated(error) from error
    except sqlite3.Error as error:
        raise translated(DBAPIError(None, None, error)) from error


def translated(error: DBAPIError) -> StorageError:
    """Return the error that the rest of bytelog knows for one that the driver raised."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageBusy("another program holds the database; try again")
    kinds = {sqlite3.SQLITE_FULL: StorageFull, sqlite3.SQLITE_TOOBIG: TextTooLong}
    return kinds.get(code, StorageError)(str(error.orig))


def remedy(error: DBAPIError) -> str:
    """Return what to do about a database that cannot be opened."""
    failure = translated(error)
    if isinstance(failure, StorageBusy):
        return "Another program holds it: end that one, or try again."
    if isinstance(failure, StorageFull) or _code(error) == sqlite3.SQLITE_IOERR:
        return "Make room on its disk, and see that it can be written."
    return "Restore a backup, or name another data folder with BYTELOG_DATA."


def _code(error: DBAPIError) -> int:
    # The lower byte; the others tell where in SQLite it happened.
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UnusableDatabase(f"BYTELOG_DATABASE_URL is not a URL: {error}") from error
    if url.drivername not in ("sqlite", "sqlite+pysqlite") or "uri" in url.query:
        raise UnusableDatabase(
            f"BYTELOG_DATABASE_URL names {url.drivername}; write sqlite:////path/to/bytelog.db."
        )
    return url


def _create_file(folder: Path, name: str) -> None:
    """Make the data folder and the file before SQLite does, so that only their owner reads them."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UnusableDatabase(
            f"the database {error.filename} cannot be written: {error.strerror}. Give its folder "
            "to the user that runs bytelog, or choose another with BYTELOG_DATA."
        ) from error


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
