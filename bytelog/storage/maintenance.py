"""The interface to the maintenance of a database: deleting, copying, checking and measuring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import Connection, Table, select

from .file_space import FileSpace
from .models import Project

Exclusive = Callable[[], AbstractContextManager[Connection]]
"""Opens the writing connection for a block, as `Writer.transaction` does."""


class Sizes(NamedTuple):
    """Bytes on disk; `free` and `log` are None where the database server manages them."""

    total: int
    free: int | None = None
    log: int | None = None


class OpenTransaction(NamedTuple):
    """How long a transaction has been open, whose it is, and the statement that ends it.

    The seconds are None if the user of bytelog may not see them.
    """

    seconds: float | None
    name: str
    remedy: str


class Maintenance(ABC):
    """Deletes, copies, checks and measures what a database contains."""

    insert_class: ClassVar[type[Any]]
    """The dialect's own INSERT statement, which can update rows that exist."""

    @abstractmethod
    def release_reserve(self) -> bool:
        """Make room on a full disk for deleting; returns whether anything could be released."""

    @abstractmethod
    def restore_reserve(self) -> None:
        """Reserve room on the disk for deleting, if the disk has enough."""

    @abstractmethod
    def overwrite_deleted(self, connection: Connection) -> AbstractContextManager[None]:
        """Overwrite on the disk what the block deletes, where the database can."""

    @abstractmethod
    def vacuum(self, connection: Connection) -> None:
        """Remove deleted events from the files of the database, where deleting does not."""

    @abstractmethod
    def file_space(self) -> FileSpace | None:
        """Return the space of the file, None where the database server reclaims it."""

    @abstractmethod
    def drop_expired(self, before: datetime, transaction: Exclusive) -> Iterator[int]:
        """Drop partitions whose events are all older than a time; yields each one's event count."""

    @abstractmethod
    def skip_deleted_projects(self, connection: Connection) -> None:
        """Make the database skip new events of all deleted projects, within a transaction.

        A request in progress may still store events in a project that has been deleted.
        """

    @abstractmethod
    def create_partitions(self, connection: Connection, days: Iterable[date]) -> None:
        """Create a partition for each day that has none, where the database has partitions."""

    @abstractmethod
    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Tune the writing connection for an import."""

    @abstractmethod
    def has_other_writers(self, connection: Connection) -> bool:
        """Return whether another connection may have committed since the last call."""

    @abstractmethod
    def copy(
        self, connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert the named columns of events, the key included, within a transaction."""

    def upsert(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert rows within a transaction, or update those whose primary key exists."""
        statement = self.insert_class(table)
        values = {column.name: statement.excluded[column.name] for column in table.columns}
        key = [*table.primary_key]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values), rows)

    @abstractmethod
    def restart_sequence(self, connection: Connection, table: str, column: str, last: int) -> None:
        """Make the numbers that a table assigns continue after a number, within a transaction."""

    @abstractmethod
    def snapshot(self, exclusive: Exclusive) -> AbstractContextManager[Connection]:
        """Open a connection that sees one state of the database while others write."""

    @abstractmethod
    def find_damage(self, connection: Connection) -> str | None:
        """Return the first damage found, "" if there is none, None if only the server can tell."""

    @abstractmethod
    def find_oldest_transaction(self, connection: Connection) -> OpenTransaction | None:
        """Return the oldest open transaction that holds back arrivals, None if there is none."""

    @abstractmethod
    def sizes(self, connection: Connection) -> Sizes:
        """Return how much disk space the database takes."""

    @abstractmethod
    def log_bytes(self) -> int | None:
        """Return the size of the write-ahead log, None where the database server manages it."""


def list_deleted(connection: Connection, last_id: int) -> str:
    """Return the ids of deleted projects, separated by commas; `last_id` was assigned last."""
    existing = set(connection.execute(select(Project.id)).scalars())
    return ", ".join(str(number) for number in range(1, last_id + 1) if number not in existing)
