"""Erasing events: deleting those that match filters, so that their text leaves the disk too.

SQLite overwrites what is deleted here with zeros, and then its log is emptied, in which the text
would remain. When SQLite moves entries from a page to another one, copies of a few can remain in
the unused bytes of the page, also of events that are deleted later. Only rewriting the file removes
those. PostgreSQL removes deleted events when it vacuums the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice

from sqlalchemy import Connection

from ..config import ERASED_EVENTS
from ..queries import listing, matches
from ..queries.selection import Selection
from ..storage.backend import Backend
from ..storage.database import backend_of, db
from ..storage.deletion import Position, delete_events
from ..storage.file_space import LogState
from ..storage.reader import NO_LIMITS, Reader, ReadLimits
from ..storage.steps import Pause, run_in_steps
from ..storage.writer import current_writer

STEP_EVENTS = 5
"""Events deleted between two checks of the clock: overwriting the largest takes milliseconds."""

LOG_TRIES = 10
"""Attempts to empty the log while readers use it."""

LOG_PAUSE_SECONDS = 0.05
"""Pause between two attempts, in which others write."""


class TooManyEvents(Exception):
    """More events match than the caller wants to delete, and none of them was deleted."""


def count(selection: Selection, limits: ReadLimits = NO_LIMITS) -> int:
    """Return the number of the selected events; raises StorageError."""
    return matches.count(Reader(db.engine, limits), selection)


def erase(
    selection: Selection,
    limits: ReadLimits = NO_LIMITS,
    most: int | None = None,
    pause: Pause = time.sleep,
) -> Iterator[int]:
    """Delete the selected events that are stored now.

    Yields the number of deleted events after each transaction. Raises StorageError, and
    TooManyEvents if there are more than `most`, which is ERASED_EVENTS or less.
    """
    reader = Reader(db.engine, limits)
    last = listing.last_key(reader)
    # Events are found again if their transaction failed, or if another process deleted some.
    while events := matches.find(reader, selection, last, ERASED_EVENTS + 1):
        if most is not None and len(events) > most:
            raise TooManyEvents
        deleted = 0
        events.sort()  # Neighbors in the table share a page, which is then written once.
        for number in _delete(events, pause):
            deleted += number
            yield number
        if deleted == len(events) <= ERASED_EVENTS:
            return


def empty_log(pause: Pause = time.sleep) -> LogState:
    """Empty the log, which has the text of deleted events; returns its state afterwards."""
    space = backend_of(db.engine).maintenance.file_space()
    if space is None:
        return LogState.EMPTY
    for _ in range(LOG_TRIES):
        with current_writer().exclusive_connection() as connection:
            state = space.truncate_log(connection)
        if state is not LogState.IN_USE:
            return state
        pause(LOG_PAUSE_SECONDS)
    return LogState.IN_USE


def vacuum() -> None:
    """Remove deleted events from the files of a database server; raises StorageError."""
    with current_writer().exclusive_connection() as connection:
        backend_of(db.engine).maintenance.vacuum(connection)


def _delete(events: list[Position], pause: Pause) -> Iterator[int]:
    backend = backend_of(db.engine)
    return run_in_steps(lambda: partial(_delete_next, backend, iter(events)), pause)


def _delete_next(
    backend: Backend, events: Iterator[Position], connection: Connection
) -> int | None:
    some = list(islice(events, STEP_EVENTS))
    if not some:
        return None
    with backend.maintenance.overwrite_deleted(connection):
        return delete_events(connection, some)
