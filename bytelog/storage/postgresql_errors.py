"""Errors of PostgreSQL's driver, by their SQLSTATE codes (PostgreSQL documentation, appendix A)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from .errors import StorageBusy, StorageError, StorageFull

_BUSY = {"40001", "40P01", "55P03", "57014"}
_FULL = "53100"
_READ_ONLY = "25006"


@contextmanager
def dbapi_errors() -> Iterator[None]:
    """Raise DBAPIError, as SQLAlchemy does, for a driver error in the block."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error


def translate(error: BaseException) -> StorageError:
    """Return the StorageError for a driver error."""
    state = _sqlstate(error)
    if state in _BUSY:
        return StorageBusy("another program has locked the database; try again")
    return (StorageFull if state == _FULL else StorageError)(str(error).partition("\n")[0])


def is_read_only(error: BaseException | None) -> bool:
    """Return whether a server refused to write, as one does that is no longer the primary."""
    return _sqlstate(error) == _READ_ONLY


def _sqlstate(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", ""))
