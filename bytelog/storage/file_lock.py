"""The lock file beside the database, which lets one bytelog process write at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2s
from tempfile import TemporaryFile

from ..config import BUSY_SECONDS, MAX_BODY_BYTES
from .errors import StorageBusy, StorageError

LOCK_POLL_SECONDS = 0.001
"""Pause between two attempts to acquire the lock: about as long as a commit."""

NAME_BYTES = 6
"""Length of the hash of a locked name: an offset of a file, on any file system."""


class DatabaseFile:
    """A database file and its lock. Detects that the file was removed or replaced."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._identity = self._identify()
        self._lock: int | None = None
        self._names: int | None = None

    def check(self) -> None:
        """Raise StorageError unless the path still names the file that was opened.

        Connections stay with a file that has lost its name, where nobody finds what they write.
        """
        if self._identify() != self._identity:
            raise StorageError(
                f"{self._path} was moved, removed or replaced while in use. Put it back, or restart"
                " bytelog."
            )

    def check_writable(self) -> None:
        """Raise StorageError if the file has been replaced or its disk is read-only."""
        self.check()
        if self._path and os.statvfs(self._path).f_flag & os.ST_RDONLY:
            raise StorageError(f"the disk of {self._path} is read-only. Make it writable.")

    def is_disk_full(self) -> bool:
        """Return whether the largest event would not fit on the disk or into the user's quota."""
        if not self._path:
            return False
        try:
            with TemporaryFile(dir=os.path.dirname(self._path)) as file:  # noqa: PTH120
                os.posix_fallocate(file.fileno(), 0, MAX_BODY_BYTES)
        except OSError as error:
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        return False

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Keep other bytelog processes from writing; raises StorageBusy and StorageError."""
        self.check()
        if not self._path:
            yield
            return
        lock = self._open_lock()
        _acquire(lock)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def try_lock(self, name: str) -> bool:
        """Lock a name until this process ends; returns False if another process has locked it."""
        if not self._path:
            return True
        # A lock of a range of bytes ends when the process closes the file: it has one of its own,
        # which stays open.
        if self._names is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            self._names = os.open(f"{self._path}-names", flags, 0o600)
        byte = int.from_bytes(blake2s(name.encode(), digest_size=NAME_BYTES).digest())
        try:
            fcntl.lockf(self._names, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Close the lock file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open_lock(self) -> int:
        # Opened at the first write, so that a server may create the application before it forks.
        if self._lock is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            self._lock = os.open(f"{self._path}-lock", flags, 0o600)
        return self._lock

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path) if self._path else None  # noqa: PTH116
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if status else (0, 0)


def _acquire(lock: int) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StorageBusy("another bytelog has locked the database; try again") from error
        time.sleep(LOCK_POLL_SECONDS)
