"""Errors of SQLite's driver, and what to do about them."""

from __future__ import annotations

import sqlite3

from .errors import StorageBusy, StorageError, StorageFull, TextTooLong

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FAILED_WRITES = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


def translate(error: BaseException) -> StorageError:
    """Return the StorageError for a driver error."""
    code = _primary_code(error)
    if code in _BUSY:
        return StorageBusy("another program has locked the database; try again")
    kinds = {sqlite3.SQLITE_FULL: StorageFull, sqlite3.SQLITE_TOOBIG: TextTooLong}
    return kinds.get(code, StorageError)(str(error))


def remedy(error: BaseException) -> str:
    """Return what to do about a driver error that prevents opening the database."""
    code = _primary_code(error)
    if code in _BUSY:
        return "Another program has locked it: stop that program, or try again."
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        advice = "Free space on its disk, for example with `bytelog prune`, and check that the"
        return f"{advice} disk is writable."
    return "Restore a backup, or choose another data folder with BYTELOG_DATA."


def is_failed_write(error: BaseException) -> bool:
    """Return whether writing to the disk failed, for a reason that SQLite does not know."""
    return getattr(error, "sqlite_errorcode", 0) in _FAILED_WRITES


def _primary_code(error: BaseException) -> int:
    # The lowest byte. The others say where in SQLite the error occurred.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
