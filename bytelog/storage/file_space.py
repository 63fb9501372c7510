"""The interface to the free space of a database file, and to its write-ahead log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

from sqlalchemy import Connection


class LogState(StrEnum):
    """Whether the write-ahead log has the text of deleted events after it was to be emptied."""

    EMPTY = ""
    CHECKPOINTS_OFF = "checkpoints off"
    IN_USE = "in use"


class FileSpace(ABC):
    """The free pages of a database file. Its methods raise StorageError."""

    @abstractmethod
    def size(self) -> int:
        """Return the size of the file in bytes."""

    @abstractmethod
    def free_pages(self) -> int:
        """Return the number of free pages."""

    @abstractmethod
    def can_shrink(self) -> bool:
        """Return whether the file can shrink in small steps; after `rewrite` it can."""

    @abstractmethod
    def release_page(self, connection: Connection) -> int | None:
        """Release a free page to the disk, in a transaction; returns 1, None if there is none."""

    @abstractmethod
    def empty_log(self, connection: Connection) -> bool:
        """Checkpoint the log, which truncates the file; returns whether it was completed."""

    @abstractmethod
    def truncate_log(self, connection: Connection) -> LogState:
        """Checkpoint the log and truncate it to nothing, if no reader uses it."""

    @abstractmethod
    def rewrite(self) -> None:
        """Rewrite the file; raises StorageBusy while any other connection is open."""
