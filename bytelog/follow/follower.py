"""The loop of a follower: read what arrives, deliver it, and note the position after it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Event

from ..api.cursors import identify_event
from ..maintenance import arrivals
from ..maintenance.snapshots import read_interruptibly
from ..queries.formats import LINES
from ..queries.listing import Listing
from ..queries.selection import Cursor, Selection
from ..storage.errors import ReadInterrupted, StorageError
from ..storage.reader import ReadLimits
from .attempts import Attempts
from .overdue import Expectation
from .progress import Progress
from .target import Message, Target, Undelivered

DATABASE_SECONDS = 60.0
"""How long a follower waits for a database that fails, as PostgreSQL does when it restarts."""

DATABASE_DELAY_SECONDS = 1.0
"""Delay between two attempts to read."""

WAIT_SECONDS = 1
"""How long a follower waits for anything before it saves its position."""

log = logging.getLogger(__name__)


class _Ending(Exception):
    """The follower stops before its message is delivered."""


@dataclass
class Follower:
    """Delivers the events of a selection that arrive after a position, until `stopping` is set."""

    selection: Selection
    position: Cursor
    target: Target
    progress: Progress | None
    stopping: Event
    is_output_closed: Callable[[], bool]
    expectation: Expectation | None

    def run(self) -> None:
        """Deliver events until the end; raises Stopped, CursorGone and StorageError."""
        try:
            self._run()
        except (_Ending, ReadInterrupted):
            return
        finally:
            if self.progress:
                self.progress.save()

    def _run(self) -> None:
        deadline = time.monotonic() + DATABASE_SECONDS
        while not self._is_ending():
            try:
                for arrived in self._follow():
                    self._take(arrived)
                    deadline = time.monotonic() + DATABASE_SECONDS
            except ReadInterrupted:
                raise
            except StorageError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("the database fails: %s", error)
                self.stopping.wait(DATABASE_DELAY_SECONDS)

    def _follow(self) -> Iterator[Listing]:
        limit = 1 if self.expectation else self.target.limit
        selection = replace(self.selection, limit=limit)
        limits = ReadLimits(math.inf, self._is_ending)
        return arrivals.follow(selection, LINES, self.position, limits, WAIT_SECONDS)

    def _is_ending(self) -> bool:
        return self.stopping.is_set() or self.is_output_closed()

    def _take(self, arrived: Listing) -> None:
        """Deliver the events of a listing, and note the position after them."""
        after = arrived.next or self.position
        is_delivered = is_set_aside = False
        for page in read_interruptibly(arrived.pages):
            if message := self._select(identify_event(after), LINES.postprocess(page)):
                is_delivered = self._deliver(message, after)
                is_set_aside = not is_delivered
        if self.progress and not is_set_aside:
            self.progress.advance(after, is_delivered=is_delivered)
        self.position = after

    def _select(self, identifier: str, lines: bytes) -> Message | None:
        """Return the message for events, None for an event that is not overdue."""
        if self.expectation is None:
            return Message(f"msg_{identifier}", lines)
        if self.expectation.is_overdue(identifier, lines, self._wait):
            return Message(f"msg_{identifier}_overdue", lines)
        return None

    def _wait(self, seconds: float) -> None:
        """Wait; raises _Ending if the follower is stopped meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.progress:
                self.progress.save_if_due()
            self.stopping.wait(min(left, WAIT_SECONDS))
            if self._is_ending():
                raise _Ending

    def _deliver(self, message: Message, after: Cursor) -> bool:
        """Deliver a message; returns False if it is given up and set aside."""
        attempts = Attempts()
        while not self.stopping.is_set():
            try:
                self.target.deliver(message)
                return True
            except Undelivered as failure:
                delay = attempts.next_delay(failure)
                if delay is None and self.progress:
                    log.error("%s; %s is set aside", failure, message.id)
                    self.progress.set_aside(message, self.position, after, str(failure))
                    return False
                log.warning("%s; next attempt in %.1f seconds", failure, delay or 0)
                self._wait(delay or 0)
        raise _Ending
