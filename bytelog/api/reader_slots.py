"""Places for answers that take long, so that there is always a thread for the short ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import BoundedSemaphore

from werkzeug.exceptions import ServiceUnavailable

from ..config import RETRY_AFTER_SECONDS


class TooManyReaders(ServiceUnavailable):
    """All places are taken."""

    def __init__(self) -> None:
        detail = "Too many long listings are being read; try again, or ask for fewer days."
        super().__init__(detail, retry_after=RETRY_AFTER_SECONDS)


class Places:
    """As many places as there are threads to read long listings; half of them for who waits."""

    def __init__(self, threads: int) -> None:
        self._number = threads
        self._all = BoundedSemaphore(threads)
        self._waiting = BoundedSemaphore(max(1, threads // 2))

    def are_taken(self) -> bool:
        """Tell whether all are taken at the moment."""
        if self._all.acquire(blocking=False):
            self._all.release()
            return False
        return True

    def taken(self) -> int:
        """Return how many are taken at the moment."""
        return self._number - self._all._value  # noqa: SLF001

    def one_to_read(self) -> ExitStack:
        """Take a place, to be closed at the end; raises TooManyReaders when all are taken."""
        return _taken(self._all)

    @contextmanager
    def one_to_wait(self) -> Iterator[None]:
        """Take a place while waiting; raises TooManyReaders when too many wait."""
        with _taken(self._waiting), _taken(self._all):
            yield


def _taken(places: BoundedSemaphore) -> ExitStack:
    if not places.acquire(blocking=False):
        raise TooManyReaders
    stack = ExitStack()
    stack.callback(places.release)
    return stack
