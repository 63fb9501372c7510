"""Reading a single state of a database: of the service's own, or of a file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine

from ..storage.database import backend_of, db
from ..storage.errors import StorageError
from ..storage.writer import current_writer

Result = TypeVar("Result")

SIDE_SUFFIXES = ("-journal", "-wal")
"""Suffixes of the files that exist beside a database while a program uses it."""

_LIVE_SUFFIXES = (*SIDE_SUFFIXES, "-shm", "-lock", "-names", "-reserve")


def open_service() -> AbstractContextManager[Connection]:
    """Open a snapshot of the service's database while others write; raises StorageError."""
    return backend_of(db.engine).maintenance.snapshot(current_writer().exclusive_connection)


def check_target(live: Path, target: Path) -> None:
    """Raise StorageError if a file cannot be replaced without harm to a database in use."""
    live = live.resolve()
    if target in (live, *(live.with_name(live.name + suffix) for suffix in _LIVE_SUFFIXES)):
        raise StorageError(f"{target} belongs to the live database. Choose another name.")
    if target.exists() and not target.is_file():
        raise StorageError(f"{target} is not a file. Choose another name.")
    side_files = [target.name + suffix for suffix in SIDE_SUFFIXES]
    if any(target.with_name(name).exists() for name in side_files):
        raise StorageError(
            f"{target} is a database in use: {' or '.join(side_files)} is beside it. Choose "
            "another name."
        )


@contextmanager
def open_file(file: Path) -> Iterator[Connection]:
    """Open a snapshot of an SQLite file that is not the service's; raises StorageError.

    The file is not changed, and no other file is created beside it unless it is in use.
    """
    file = file.resolve()  # The side files are beside the file, not beside a link to it.
    is_in_use = any(Path(f"{file}{suffix}").exists() for suffix in SIDE_SUFFIXES)
    mode = "mode=ro" if is_in_use else "immutable=1"
    uri = f"file:{quote(str(file))}?{mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with backend_of(engine).errors(), engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection


def run_interruptibly(work: Callable[[], Result]) -> Result:
    """Run a function in a thread of its own, so that Ctrl-C takes effect at once.

    A single step of SQLite may take minutes, and Python handles Ctrl-C only after it.
    """
    outcome: Future[Result] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result()


def read_interruptibly(pages: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pages, and let Ctrl-C take effect while the next one is searched for."""
    while page := run_interruptibly(partial(next, pages, b"")):
        yield page
