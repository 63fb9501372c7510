"""Deleting old events while others write, and returning their space to the disk.

Everything runs in transactions of PRUNE_SECONDS with pauses in between. The process must not have a
lower priority: if it waited for the processor while it held the write lock, all others would wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from flask import Flask
from sqlalchemy import Connection, bindparam, delete, func, select

from .. import timestamps
from ..storage.backend import FileSpace, StorageError
from ..storage.database import backend_of, close_readers, db, fetch
from ..storage.models import Event, Project
from ..storage.writer import current_writer

PRUNE_EVENTS = 25
"""Events deleted between two checks of the clock."""

PRUNE_SECONDS = 0.003
"""How long deleting keeps others from writing before it commits."""

PRUNE_PAUSE_FACTOR = 4
"""Length of the pause after a transaction, as a multiple of its duration: others write then."""

PRUNE_INTERVAL_SECONDS = 600
"""How often a server deletes the events that BYTELOG_KEEP_DAYS expires: few at a time."""

CHECKPOINT_TRIES = 20
"""Attempts to empty the log while short readers prevent it."""

log = logging.getLogger("bytelog")

Pause = Callable[[float], object]
"""Waits for a number of seconds."""

_old = (Event.project_id == bindparam("project_id"), Event.date < bindparam("before"))
_oldest = select(Event.key).where(*_old).order_by(Event.date).limit(PRUNE_EVENTS)
_count = select(func.count(Event.key)).where(*_old)
# The date lets PostgreSQL skip partitions.
_delete = delete(Event).where(Event.key.in_(_oldest), Event.date < bindparam("before"))


def days_ago(days: int) -> datetime:
    """Return the time that many days of 24 hours ago, at the earliest the year 1."""
    try:
        return timestamps.now() - timedelta(days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def count(before: datetime) -> int:
    """Return the number of events in all projects with an earlier date; raises StorageError."""
    counts = (fetch(db.engine, _count, values) for values in _values_by_project(before))
    return sum(row.count for rows in counts for row in rows)


def prune(before: datetime, pause: Pause = time.sleep) -> Iterator[int]:
    """Delete the events in all projects with an earlier date; raises StorageError.

    Yields the number of deleted events after each transaction.
    """
    yield from backend_of(db.engine).drop_expired(before, current_writer().transaction)
    for values in _values_by_project(before):
        yield from _run_in_batches(partial(_delete_oldest, values), pause)


def shrink(space: FileSpace, pause: Pause = time.sleep) -> Iterator[int]:
    """Release the free pages of a file that can shrink to the disk; raises StorageError.

    Yields the number of released pages after each transaction.
    """
    yield from _run_in_batches(space.release_page, pause)
    for _ in range(CHECKPOINT_TRIES):
        with current_writer().exclusive_connection() as connection:
            if space.empty_log(connection):
                return
        pause(PRUNE_SECONDS)


def rewrite(space: FileSpace) -> None:
    """Convert a file that cannot shrink; raises StorageBusy if another process has it open.

    Takes as long as writing the whole file. Afterwards the application cannot use its database.
    """
    current_writer().close()
    close_readers()
    space.rewrite()


@contextmanager
def run_in_background(app: Flask) -> Iterator[None]:
    """Delete the events that BYTELOG_KEEP_DAYS expires, at intervals, while the block runs."""
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
                log.error("old events were not deleted; bytelog will try again: %s", error)
            stopping.wait(PRUNE_INTERVAL_SECONDS)


def _prune_once(before: datetime, stopping: threading.Event) -> None:
    deleted = 0
    for events in prune(before, stopping.wait):
        deleted += events
        if stopping.is_set():
            break
    if not deleted:
        return
    log.info("deleted %d events from before %s", deleted, timestamps.format_utc(before))
    space = backend_of(db.engine).file_space()
    if space and space.can_shrink():
        for _ in shrink(space, stopping.wait):
            if stopping.is_set():
                return


def _values_by_project(before: datetime) -> list[dict[str, object]]:
    projects = fetch(db.engine, select(Project.id))
    return [{"project_id": row.id, "before": before} for row in projects]


def _run_in_batches(step: Callable[[Connection], int], pause: Pause) -> Iterator[int]:
    """Repeat a step until nothing is left; yields the number that each transaction handled."""
    is_over = False
    while not is_over:
        with current_writer().transaction() as connection:
            began = time.monotonic()
            done, is_over = _repeat_until(began + PRUNE_SECONDS, step, connection)
        yield done
        if not is_over:
            pause(PRUNE_PAUSE_FACTOR * (time.monotonic() - began))


def _repeat_until(
    deadline: float, step: Callable[[Connection], int], connection: Connection
) -> tuple[int, bool]:
    """Repeat a step until the deadline; returns the number handled, and whether none is left."""
    total = 0
    while time.monotonic() < deadline:
        done = step(connection)
        if not done:
            return total, True
        total += done
    return total, False


def _delete_oldest(values: dict[str, object], connection: Connection) -> int:
    return connection.execute(_delete, values).rowcount
