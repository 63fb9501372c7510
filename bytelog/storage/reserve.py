"""The reserve: a file beside an SQLite database that keeps space on the disk for deleting events.

SQLite writes to its log before it deletes anything, so nothing could be deleted on a full disk.
`bytelog serve` creates the reserve. A deletion that finds the disk full removes it, and creates it
again when there is room.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .file_lock import DatabaseFile
from .sqlite_connection import WAL_LIMIT_BYTES

RESERVE_BYTES = WAL_LIMIT_BYTES
"""Size of the reserve: when a disk gets full, the log may have this much that belongs into the
file, and while the file cannot grow, the log cannot be used again."""

ROOM_FACTOR = 2
"""Free space that the reserve requires, as a multiple of its size: a small disk needs its space for
events."""

LOG_INDEX_BYTES = 32 * 1024
"""Size of the index of the log from the first connection on (https://sqlite.org/walformat.html)."""


class Reserve:
    """The reserve of a database file; None stands for a database in memory, which has none."""

    def __init__(self, database: str | None) -> None:
        self._file = Path(f"{database}-reserve") if database else None

    def release(self) -> bool:
        """Remove the reserve, which makes room on the disk; returns whether there was one."""
        if self._file is None:
            return False
        try:
            self._file.unlink()
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Create the reserve if it is missing and the disk has room."""
        if self._file is None or self._file.exists():
            return
        # A reserve is not worth an error: without it, everything but a full disk works.
        with suppress(OSError):
            disk = os.statvfs(self._file.parent)
            if disk.f_bavail * disk.f_frsize >= ROOM_FACTOR * RESERVE_BYTES:
                self._create(self._file)

    def _create(self, file: Path) -> None:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            file.unlink()
        finally:
            os.close(descriptor)


def release_if_unused(database: str) -> None:
    """Remove the reserve if the disk is full and no process has the database open.

    Then SQLite cannot open it, because the first connection creates the index of the log.
    """
    if not _has_log_index(database) and DatabaseFile(database).is_disk_full():
        Reserve(database).release()


def _has_log_index(database: str) -> bool:
    # A failure to create it may leave a shorter file.
    try:
        return Path(f"{database}-shm").stat().st_size >= LOG_INDEX_BYTES
    except OSError:
        return False
