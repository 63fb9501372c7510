"""Slots for requests that take long, so that there is always a thread for short ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import cast

from flask import Flask
from werkzeug.exceptions import ServiceUnavailable

from ..config import RETRY_AFTER_SECONDS


class TooManyReaders(ServiceUnavailable):
    """No slot is free for a project."""

    def __init__(self) -> None:
        detail = "Too many long reads are in progress; try again, or ask for fewer days."
        super().__init__(detail, retry_after=RETRY_AFTER_SECONDS)


class TooManyStreams(ServiceUnavailable):
    """No event stream can be opened for a project."""

    def __init__(self) -> None:
        detail = "Too many event streams are open; close one, or try again."
        super().__init__(detail, retry_after=RETRY_AFTER_SECONDS)


class _Slots:
    """Slots that projects share: as many as `limit`, and a reserve for projects that have none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken: Counter[int] = Counter()
        self._lock = Lock()

    def reserve(self) -> int:
        return max(1, self.limit // 2)

    def take(self, project_id: int) -> None:
        with self._lock:
            reserve = 0 if self.taken[project_id] else self.reserve()
            if self.taken.total() >= self.limit + reserve:
                raise TooManyReaders
            self.taken[project_id] += 1

    def free(self, project_id: int) -> None:
        with self._lock:
            self.taken[project_id] -= 1
            self.taken += Counter()  # Drops projects without slots.


class ReaderSlots:
    """Slots for requests that take long. At most half of them may wait for an event.

    Any project can take a slot while fewer than `limit` are taken. Beyond that, up to `capacity`,
    only projects without a slot can, so that one project cannot take them all.
    """

    def __init__(self, limit: int) -> None:
        self.set_limit(limit)
        # Called by a thread whose request takes a slot, and so may take long.
        self.on_take: Callable[[], None] = _ignore

    def set_limit(self, limit: int, streams: int | None = None) -> None:
        """Set the number of slots, before any is taken.

        Event streams have slots of their own: as many as may wait, unless there are more threads.
        """
        self._reading = _Slots(limit)
        self._waiting = _Slots(max(1, limit // 2))
        self._streaming = _Slots(streams or max(1, limit // 2))

    @property
    def capacity(self) -> int:
        """Return how many slots there are for all projects together."""
        return self._reading.limit + self._reading.reserve()

    @property
    def in_use(self) -> int:
        """Return how many slots are taken at the moment."""
        return self._reading.taken.total()

    @property
    def stream_capacity(self) -> int:
        """Return how many event streams there can be for all projects together."""
        return self._streaming.limit + self._streaming.reserve()

    @property
    def streams(self) -> int:
        """Return how many event streams are open at the moment."""
        return self._streaming.taken.total()

    def open_stream(self, project_id: int) -> Callable[[], None]:
        """Take the slot of an event stream; returns what frees it, raises TooManyStreams."""
        try:
            self._streaming.take(project_id)
        except TooManyReaders as error:
            raise TooManyStreams from error
        return partial(self._streaming.free, project_id)

    def slot(self, project_id: int) -> ReaderSlot:
        """Return a slot for a request, which is not taken yet."""
        return ReaderSlot(self._reading, self._waiting, project_id, self.on_take)


class ReaderSlot:
    """The slot of a request: a context manager that frees it."""

    def __init__(
        self, reading: _Slots, waiting: _Slots, project_id: int, on_take: Callable[[], None]
    ) -> None:
        self._reading = reading
        self._waiting = waiting
        self._project_id = project_id
        self._on_take = on_take
        self._is_taken = False

    def take(self) -> None:
        """Take the slot, unless the request has it; raises TooManyReaders if none is free."""
        if not self._is_taken:
            self._reading.take(self._project_id)
            self._is_taken = True
            self._on_take()

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Take the slot, and the right to wait in the block; raises TooManyReaders."""
        self.take()
        self._waiting.take(self._project_id)
        try:
            yield
        finally:
            self._waiting.free(self._project_id)

    def free(self) -> None:
        """Free the slot, if the request has it."""
        if self._is_taken:
            self._is_taken = False
            self._reading.free(self._project_id)

    def move(self) -> ReaderSlot:
        """Return another object that has the slot, for a response that outlives the block."""
        moved = ReaderSlot(self._reading, self._waiting, self._project_id, self._on_take)
        moved._is_taken, self._is_taken = self._is_taken, False
        return moved

    def __enter__(self) -> ReaderSlot:
        """Return the slot."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the slot."""
        self.free()


def _ignore() -> None:
    pass


def slots_of(app: Flask) -> ReaderSlots:
    """Return the reader slots of an application."""
    return cast("ReaderSlots", app.extensions["bytelog.reader_slots"])
