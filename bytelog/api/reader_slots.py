"""Slots for requests that take long, so that a thread is always free for short ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import cast

from flask import Flask
from werkzeug.exceptions import ServiceUnavailable

from ..config import RETRY_AFTER_SECONDS


class TooManyReaders(ServiceUnavailable):
    """All slots are taken."""

    def __init__(self) -> None:
        detail = "Too many long listings are being read; try again, or request fewer days."
        super().__init__(detail, retry_after=RETRY_AFTER_SECONDS)


class ReaderSlots:
    """A slot for each thread that serves long requests; at most half may hold waiting requests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self._waiting = 0
        self._lock = Lock()

    def is_full(self) -> bool:
        """Return whether all slots are taken."""
        return self.in_use >= self.limit

    def acquire(self) -> ExitStack:
        """Take a slot; closing the result frees it. Raises TooManyReaders if all are taken."""
        with self._lock:
            if self.is_full():
                raise TooManyReaders
            self.in_use += 1
        slot = ExitStack()
        slot.callback(self._release)
        return slot

    @contextmanager
    def acquire_waiting(self) -> Iterator[None]:
        """Take a slot to wait for an event; raises TooManyReaders if too many requests wait."""
        with self.acquire():
            with self._lock:
                if self._waiting >= max(1, self.limit // 2):
                    raise TooManyReaders
                self._waiting += 1
            try:
                yield
            finally:
                with self._lock:
                    self._waiting -= 1

    def _release(self) -> None:
        with self._lock:
            self.in_use -= 1


def slots_of(app: Flask) -> ReaderSlots:
    """Return the reader slots of an application."""
    return cast("ReaderSlots", app.extensions["bytelog.reader_slots"])
