"""One state of a database, read for as long as that takes: the service's own, or a file's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine

from ..queries.statements import highest_key
from ..storage.backend import StorageError
from ..storage.database import backend_of, db, storage_errors
from ..storage.sqlite import is_in_memory
from ..storage.writer import current_writer

R = TypeVar("R")

SIDE_FILES = ("-journal", "-wal")
"""What the names of the files end with that lie beside a database while a program uses it."""


def service_file() -> Path:
    """Return where the service's database is; raises StorageError where it has no file."""
    if db.engine.dialect.name == "postgresql":
        raise StorageError("PostgreSQL keeps the database: take its own tools, such as pg_dump.")
    if is_in_memory(db.engine.url):
        raise StorageError("the database is in memory, and ends with its process.")
    return Path(backend_of(db.engine).path())


@contextmanager
def open_service() -> Iterator[Connection]:
    """Give a reader of the service's database; writers go on meanwhile. Raises StorageError."""
    with storage_errors(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        else:
            _begin_beside_writers(connection)
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


@contextmanager
def open_file(file: Path) -> Iterator[Connection]:
    """Give a reader of a database that is not the service's; raises StorageError.

    The file stays as it is, and alone if it was.
    """
    in_use = any(Path(f"{file}{ending}").exists() for ending in SIDE_FILES)
    way = "mode=ro" if in_use else "immutable=1"
    uri = f"file:{quote(str(file.absolute()))}?{way}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with storage_errors(), engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection


def run_interruptibly(work: Callable[[], R]) -> R:
    """Return what some work does in a thread of its own.

    SQLite does in one step what may take minutes, and Python hears of Ctrl-C after it only.
    """
    outcome: Future[R] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result()


def _begin_beside_writers(connection: Connection) -> None:
    with current_writer().exclusive_connection() as writing:
        _fill_log(writing)
        connection.exec_driver_sql("BEGIN")
        connection.execute(highest_key)


def _fill_log(writing: Connection) -> None:
    """Put a page into the write-ahead log, so that no checkpoint has emptied it.

    A reader that starts with an empty log reads the file alone, and keeps checkpoints from writing
    to it for as long as it reads. Then every commit would try one, and sort the growing log. Twice,
    because a commit that makes the log long enough empties it itself.
    """
    for _ in range(2):
        version = writing.exec_driver_sql("PRAGMA user_version").scalar()
        writing.exec_driver_sql(f"PRAGMA user_version={version}")
