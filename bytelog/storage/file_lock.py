"""The lock beside the database, which lets one of bytelog's processes write at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from ..config import BUSY_SECONDS, LOCK_POLL_SECONDS
from .backend import StorageBusy, StorageError


class DatabaseFile:
    """The file as it was when it was opened; one that is removed takes what is written with it."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._identity = self._identify()

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Keep bytelog's other processes from writing; raises StorageBusy and StorageError."""
        if self._identify() != self._identity:
            raise StorageError(f"{self._path} was removed or replaced; restart bytelog.")
        if not self._path:
            yield
            return
        lock = self._lock
        self._acquire(lock)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    @cached_property
    def _lock(self) -> int:
        return os.open(f"{self._path}-lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Give up the lock's file."""
        if "_lock" in vars(self):
            os.close(vars(self).pop("_lock"))

    def _acquire(self, lock: int) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StorageBusy("another bytelog holds the database; try again") from error
            time.sleep(LOCK_POLL_SECONDS)

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path) if self._path else None  # noqa: PTH116
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found else (0, 0)
