"""The count of commits, for threads that wait for the next one or give others time to commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from greenlet import getcurrent

from .batched_requests import BatchedRequest

WORK_SECONDS = 0.02
"""How long a thread decodes a large batch before it gives others time: Python runs one thread."""

T = TypeVar("T")


class Commits:
    """How many groups of events have been committed, by a writer that may be stopping."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0
        self.is_stopping = False

    def add(self) -> None:
        """Count a commit, and wake all threads that wait for one."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, count: int, seconds: float) -> None:
        """Wait until the count differs from `count`, for at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != count or self.is_stopping, seconds)

    def stop_waiting(self) -> None:
        """Wake all threads that wait for a commit, and let none wait any more."""
        with self._changed:
            self.is_stopping = True
            self._changed.notify_all()

    def share_time(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and sleep as long as their use takes while other threads commit."""
        is_batched = isinstance(getcurrent(), BatchedRequest)
        start, count = time.monotonic(), self.count
        for item in items:
            yield item
            if (seconds := time.monotonic() - start) > WORK_SECONDS:
                if count != self.count and not is_batched:
                    time.sleep(seconds)
                start, count = time.monotonic(), self.count
