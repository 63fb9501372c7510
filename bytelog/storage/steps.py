"""Long work on the database, such as deleting events, while others write.

It runs in transactions of STEP_SECONDS with pauses in between. The process must not have a lower
priority: if it waited for the processor while it held the write lock, all others would wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from .database import backend_of, db
from .errors import StorageFull
from .writer import current_writer

STEP_SECONDS = 0.003
"""How long the work keeps others from writing before it commits."""

PAUSE_FACTOR = 4
"""Length of the pause after a transaction, as a multiple of its duration: others write then."""

FULL_SECONDS = 2
"""Time without pauses after the reserve was released: new events must not use it up first."""

log = logging.getLogger("bytelog")

Step = Callable[[Connection], int | None]
"""Handles some of the work, and returns how much, None if nothing is left."""

Pause = Callable[[float], object]
"""Waits for a number of seconds."""


def run_in_steps(begin: Callable[[], Step], pause: Pause = time.sleep) -> Iterator[int]:
    """Repeat the step that `begin` returns until nothing is left.

    Yields the number that each transaction handled. If the disk is full, releases the reserve and
    begins again, because the last transaction was rolled back: the step must be one that deletes.
    Raises StorageError.
    """
    maintenance = backend_of(db.engine).maintenance
    step, is_over, first_pause = begin(), False, 0.0
    while not is_over:
        try:
            with current_writer().transaction() as connection:
                began = time.monotonic()
                done, is_over = _repeat_until(began + STEP_SECONDS, step, connection)
        except StorageFull:
            if not maintenance.release_reserve():
                raise
            log.warning("the disk is full: the reserve was released, to delete events")
            # Also if the commit of the last step failed.
            step, is_over, first_pause = begin(), False, time.monotonic() + FULL_SECONDS
            continue
        yield done
        if not is_over and time.monotonic() > first_pause:
            pause(PAUSE_FACTOR * (time.monotonic() - began))
    maintenance.restore_reserve()


def _repeat_until(deadline: float, step: Step, connection: Connection) -> tuple[int, bool]:
    """Repeat a step until the deadline; returns the number handled, and whether none is left."""
    total = 0
    while time.monotonic() < deadline:
        done = step(connection)
        if done is None:
            return total, True
        total += done
    return total, False
