"""Deleting what is old while others write, and giving its space back to the disk.

All of it is done in transactions of PRUNE_SECONDS with rests in between. So it must not run at a
lower priority: whoever holds the write lock and waits for the processor keeps everybody waiting.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from flask import Flask
from sqlalchemy import Connection, bindparam, delete, func, select, table, text

from .. import timestamps
from ..config import (
    CHECKPOINT_TRIES,
    PRUNE_EVENTS,
    PRUNE_INTERVAL_SECONDS,
    PRUNE_PAUSE_FACTOR,
    PRUNE_SECONDS,
)
from ..storage import partitions
from ..storage.backend import StorageError
from ..storage.database import backend_of, db, fetch, storage_errors
from ..storage.models import Event, Project
from ..storage.writer import current_writer

log = logging.getLogger("bytelog")

Pause = Callable[[float], object]
"""Waits for some seconds."""

_old = (Event.project_id == bindparam("project_id"), Event.date < bindparam("before"))
_oldest = select(Event.key).where(*_old).order_by(Event.date).limit(PRUNE_EVENTS)
_count = select(func.count(Event.key)).where(*_old)
# The date says to PostgreSQL which partitions need not be looked at.
_delete = delete(Event).where(Event.key.in_(_oldest), Event.date < bindparam("before"))


def days_ago(days: int) -> datetime:
    """Return the moment that is so many days of 24 hours past, at the earliest the year 1."""
    try:
        return timestamps.now() - timedelta(days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def count(before: datetime) -> int:
    """Return how many events, of all projects, have a date before; raises StorageError."""
    counts = (fetch(db.engine, _count, values) for values in _list_values(before))
    return sum(row.count for rows in counts for row in rows)


def prune(before: datetime, pause: Pause = time.sleep) -> Iterator[int]:
    """Delete the events with a date before, of all projects; raises StorageError.

    Yields how many after each transaction.
    """
    if db.engine.dialect.name == "postgresql":
        yield from _drop_partitions(before)
    for values in _list_values(before):
        yield from _run_in_batches(partial(_delete_some, values), pause)


def free_pages() -> int:
    """Return how many pages of the file hold nothing; raises StorageError."""
    return _pragma("freelist_count")


def can_shrink() -> bool:
    """Tell whether the file is of the kind that can be shortened; raises StorageError.

    One that was made by bytelog 0.1 is not, until `rewrite` has been through.
    """
    return _pragma("auto_vacuum") > 0


def shrink(pause: Pause = time.sleep) -> Iterator[int]:
    """Give the free pages of a file that can shrink back to the disk; raises StorageError.

    Yields how many after each transaction.
    """
    yield from _run_in_batches(_release_page, pause)
    for _ in range(CHECKPOINT_TRIES):
        if _empty_log():
            return
        pause(PRUNE_SECONDS)


def rewrite() -> None:
    """Make a file that can shrink of one that could not; nothing of it is free then.

    That takes as long as to write it anew, and nobody else can have the file open meanwhile: raises
    StorageBusy when somebody does, StorageError. The application has no database any more.
    """
    current_writer().close()
    backend_of(db.engine).close_readers()
    connection = sqlite3.connect(backend_of(db.engine).path(), timeout=0, isolation_level=None)
    with storage_errors(), closing(connection):
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")


@contextmanager
def run_in_background(app: Flask) -> Iterator[None]:
    """Delete what is older than BYTELOG_KEEP_DAYS, now and again, while the block runs."""
    days = app.config["BYTELOG_KEEP_DAYS"]
    if not days:
        yield
        return
    stopping = threading.Event()
    thread = threading.Thread(target=_run, args=(app, days, stopping), name="retention")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _run(app: Flask, days: int, stopping: threading.Event) -> None:
    with app.app_context():
        while not stopping.is_set():
            try:
                _prune_once(days_ago(days), stopping)
            except StorageError as error:
                log.error("old events were not deleted, which is tried again: %s", error)
            stopping.wait(PRUNE_INTERVAL_SECONDS)


def _prune_once(before: datetime, stopping: threading.Event) -> None:
    deleted = 0
    for done in prune(before, stopping.wait):
        deleted += done
        if stopping.is_set():
            break
    if not deleted:
        return
    log.info("deleted %d events from before %s", deleted, timestamps.format_utc(before))
    if db.engine.dialect.name == "sqlite" and can_shrink():
        for _ in shrink(stopping.wait):
            if stopping.is_set():
                return


def _list_values(before: datetime) -> list[dict[str, object]]:
    projects = fetch(db.engine, select(Project.id))
    return [{"project_id": row.id, "before": before} for row in projects]


def _drop_partitions(before: datetime) -> Iterator[int]:
    with storage_errors(), db.engine.connect() as connection:
        names = partitions.expired(connection, before)
    for name in names:
        # Before the lock is taken: that takes as long as reading them.
        ((events,),) = fetch(db.engine, select(func.count()).select_from(table(name)))
        with current_writer().transaction() as connection:
            partitions.drop(connection, name)
        yield events


def _run_in_batches(step: Callable[[Connection], int], pause: Pause) -> Iterator[int]:
    """Repeat a step until it finds nothing to do; yields what each transaction has done."""
    is_over = False
    while not is_over:
        with current_writer().transaction() as connection:
            began = time.monotonic()
            done, is_over = _work_until(step, connection, began + PRUNE_SECONDS)
        yield done
        if not is_over:
            pause(PRUNE_PAUSE_FACTOR * (time.monotonic() - began))


def _work_until(
    step: Callable[[Connection], int], connection: Connection, deadline: float
) -> tuple[int, bool]:
    done = 0
    while time.monotonic() < deadline:
        more = step(connection)
        if not more:
            return done, True
        done += more
    return done, False


def _delete_some(values: dict[str, object], connection: Connection) -> int:
    return connection.execute(_delete, values).rowcount


def _release_page(connection: Connection) -> int:
    if not connection.exec_driver_sql("PRAGMA freelist_count").scalar():
        return 0
    # SQLite gives one page back each time that this statement is stepped, and the driver steps a
    # statement without columns once, whatever the number says.
    connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    return 1


def _empty_log() -> bool:
    """Write the log into the file, which gets its new length then; tells whether that is done."""
    with current_writer().exclusive_connection() as connection:
        if not connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar():
            return True  # BYTELOG_CHECKPOINTS is off: another program does it.
        _, pages, written = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
    return bool(pages == written)


def _pragma(name: str) -> int:
    return int(fetch(db.engine, text(f"PRAGMA {name}"))[0][0])
