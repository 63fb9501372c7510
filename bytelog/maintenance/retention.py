"""Deleting old events while others write, and returning their space to the disk.

Everything runs in short transactions, as `storage/steps.py` explains.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from flask import Flask
from sqlalchemy import Connection, bindparam, func, select

from .. import timestamps
from ..storage.backend import FileSpace, StorageError
from ..storage.database import backend_of, close_readers, db, fetch
from ..storage.deletion import Position, delete_events
from ..storage.keyset import date
from ..storage.models import Event, Project
from ..storage.steps import STEP_SECONDS, Pause, run_in_steps
from ..storage.writer import current_writer

PRUNE_EVENTS = 25
"""Events deleted between two checks of the clock."""

PRUNE_INTERVAL_SECONDS = 600
"""How often a server deletes the events that BYTELOG_KEEP_DAYS expires: few at a time."""

CHECKPOINT_TRIES = 20
"""Attempts to empty the log while short readers prevent it."""

log = logging.getLogger("bytelog")


@dataclass(frozen=True, slots=True)
class Expired:
    """The events of a project with a date before a moment, and those after it.

    `kept` is the number of the latter, but at most `events`. `newest` is the last date before the
    moment and `oldest` the first one after it.
    """

    project_id: int
    project: str
    events: int
    kept: int
    newest: datetime | None
    oldest: datetime | None

    @property
    def is_most(self) -> bool:
        """Return whether these are more than half of the project's events."""
        return self.events > self.kept

    def is_doubtful(self, days: int) -> bool:
        """Return whether the clock may be wrong, so that a person must confirm the deletion.

        A clock that is far ahead makes all earlier events old at once. Events that are recorded by
        that clock may soon outnumber them, but are separated from them by a gap.
        """
        if self.newest is None or self.oldest is None:
            return self.is_most
        return self.is_most or self.oldest - self.newest > timedelta(days)


_old = (Event.project_id == bindparam("project_id"), Event.date < bindparam("before"))
_oldest = select(Event.key, date).where(*_old).order_by(Event.date).limit(PRUNE_EVENTS)
_count = select(func.count(Event.key), func.max(Event.date)).where(*_old)
_kept = select(Event.date).where(
    Event.project_id == bindparam("project_id"), Event.date >= bindparam("before")
)
_some_kept = _kept.order_by(Event.date).limit(bindparam("enough")).subquery()
_count_kept = select(func.count(), func.min(_some_kept.c.date)).select_from(_some_kept)


def find_expired(before: datetime) -> list[Expired]:
    """Return what a prune would delete, by project; raises StorageError."""
    projects = fetch(db.engine, select(Project.id, Project.name).order_by(Project.name))
    return [_find_expired_of(row.id, row.name, before) for row in projects]


def prune(
    before: datetime, pause: Pause = time.sleep, spared: Collection[int] = ()
) -> Iterator[int]:
    """Delete the events of all projects but the spared ones with a date before a moment.

    Yields the number of deleted events after each transaction. Raises StorageError.
    """
    if not spared:  # A partition holds events of all projects.
        yield from backend_of(db.engine).drop_expired(before, current_writer().transaction)
    for row in fetch(db.engine, select(Project.id)):
        if row.id not in spared:
            values = {"project_id": row.id, "before": before}
            yield from run_in_steps(partial(_delete_oldest, values), pause)


def shrink(space: FileSpace, pause: Pause = time.sleep) -> Iterator[int]:
    """Release the free pages of a file that can shrink to the disk; raises StorageError.

    Yields the number of released pages after each transaction.
    """
    yield from run_in_steps(space.release_page, pause)
    for _ in range(CHECKPOINT_TRIES):
        with current_writer().exclusive_connection() as connection:
            if space.empty_log(connection):
                return
        pause(STEP_SECONDS)


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
                _prune_once(timestamps.days_ago(days), days, stopping)
            except StorageError as error:
                log.error("old events were not deleted; bytelog will try again: %s", error)
            stopping.wait(PRUNE_INTERVAL_SECONDS)


def _prune_once(before: datetime, days: int, stopping: threading.Event) -> None:
    doubtful = [expired for expired in find_expired(before) if expired.is_doubtful(days)]
    for expired in doubtful:
        log.warning(
            "%d events of project %s from before %s were not deleted: these are most of its "
            "events, or the clock is ahead. If it is right: bytelog prune --keep-days %d --yes",
            *(expired.events, expired.project, timestamps.format_utc(before), days),
        )
    deleted, spared = 0, {expired.project_id for expired in doubtful}
    for events in prune(before, stopping.wait, spared):
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


def _find_expired_of(project_id: int, project: str, before: datetime) -> Expired:
    values = {"project_id": project_id, "before": before}
    ((events, newest),) = fetch(db.engine, _count, values)
    # No more need be counted than shows whether most of the events are deleted.
    ((kept, oldest),) = fetch(db.engine, _count_kept, {**values, "enough": events})
    return Expired(project_id, project, events, kept, newest, oldest)


def _delete_oldest(values: dict[str, object], connection: Connection) -> int:
    oldest = connection.execute(_oldest, values)
    return delete_events(connection, [Position(*row) for row in oldest])
