"""What bytelog needs of a kind of database, and what may go wrong with one.

`sqlite.py` and `postgresql.py` each do it in their own way; `db.py` tells which one it is.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.pool import Pool

from ..config import SetupError

Row = tuple[int, int, str, str, str, str]
"""project_id, id, name, trace_id, date, data"""

_users: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()
"""Which process uses the connections of a pool."""


class UnusableDatabase(SetupError):
    """The database cannot be opened; the message says why and what to do."""


class StorageError(Exception):
    """The database did not do what was asked; nothing of it was stored."""


class StorageBusy(StorageError):
    """Another program holds the database."""


class StorageFull(StorageError):
    """There is no room left on the disk."""


class TextTooLong(StorageError):
    """What was asked for exceeds PAGE_BYTES; ask for less at once."""


class Backend(ABC):
    """A database of one kind."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @abstractmethod
    def path(self) -> str:
        """Return where the database is, for people to read."""

    @abstractmethod
    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has one at a time."""

    @abstractmethod
    def write_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Prepare to write, and keep who must not write meanwhile away; raises StorageError."""

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Run the block in a transaction in which nobody else writes, within `write_lock`."""

    @abstractmethod
    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events to a transaction."""

    @abstractmethod
    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Get ready for an import."""

    @abstractmethod
    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events in a transaction of their own, within `write_lock`."""

    @abstractmethod
    def execute(
        self, connection: Connection, sql: str, values: tuple[Any, ...]
    ) -> CursorResult[Any]:
        """Run a statement that has a `?` for each value."""

    @abstractmethod
    def is_usable_after(self, connection: Connection, error: BaseException) -> bool:
        """Tell whether the writing connection can go on after an error of the driver."""

    def close_readers(self) -> None:
        """Close the connections of readers."""
        self.engine.dispose()

    @abstractmethod
    def close(self) -> None:
        """Give up what `write_lock` keeps open."""


def check_process(engine: Engine) -> None:
    """Raise StorageError in a process that inherited open connections.

    Nothing that was opened is good after a fork: two could use one connection, or write at once.
    """
    if _users.setdefault(engine.pool, os.getpid()) != os.getpid():
        raise StorageError("used before the process forked; use bytelog only in its children.")
