"""The storage interface: what bytelog needs from a database to store and read events.

`sqlite.py` and `postgresql.py` implement it; `database.py` chooses between them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from sqlalchemy import (
    URL,
    BindParameter,
    ClauseElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Select,
)
from sqlalchemy.engine import Compiled
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import Pool

from .errors import StorageError
from .keyset import KeysetPlan, Order
from .maintenance import Maintenance
from .sql import TextOfEvent

Row = tuple[int, int, str, str, str, str]
"""The values of `models.ROW_COLUMNS`, as text where the column is neither key nor id."""

Identity = tuple[int, int, str, str, str]
"""The values of a Row but its data."""

_process_of_pool: WeakKeyDictionary[Pool, int] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ReadConnection:
    """A connection for reading: functions that execute a text, and end what it executes."""

    execute: Callable[[str, Any], Any]
    """Returns an iterator over the rows, which has a method `close`."""
    interrupt: Callable[[], None]
    """Called from another thread."""


class Backend(ABC):
    """A database of one kind, accessed through an engine."""

    drivers: ClassVar[tuple[str, ...]]
    """The driver names that a URL may have."""

    url_example: ClassVar[str]
    """A URL, for error messages."""

    is_server: ClassVar[bool]
    """Whether a database server manages it: other processes may write, and replicas may exist."""

    sorts_groups: ClassVar[bool]
    """Whether it sorts all rows to group them, as a database without hash tables does."""

    commits_concurrently: ClassVar[bool]
    """Whether events may be committed in another order than that of their keys; see `horizon`."""

    dialect: ClassVar[Dialect]
    """SQLAlchemy's dialect, for statements that are compiled before a connection exists."""

    keyset_plans: ClassVar[Mapping[Order, KeysetPlan]]
    """How to continue each order after a position so that an index serves it."""

    maintenance: Maintenance
    """Deletes, copies, checks and measures."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._compiled: dict[ClauseElement, Compiled] = {}

    @staticmethod
    @abstractmethod
    def prepare(url: URL, folder: Path) -> URL:
        """Create what must exist before the first connection; return the URL to connect to.

        Raises UnusableDatabase.
        """

    @staticmethod
    @abstractmethod
    def engine_options(url: URL) -> dict[str, Any]:
        """Return the arguments of `create_engine`."""

    @abstractmethod
    def configure(self, settings: Mapping[str, Any]) -> None:
        """Configure each connection when it is opened, by the operator's settings."""

    @abstractmethod
    def location(self) -> str:
        """Return the location of the database, for messages."""

    @abstractmethod
    def file(self) -> Path:
        """Return the path of the database's file; raises StorageError if it has none."""

    @abstractmethod
    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has at most one."""

    @abstractmethod
    def write_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Lock out writes of other processes that transactions would allow; raises StorageError."""

    @abstractmethod
    def try_lock(self, name: str) -> bool:
        """Lock a name until this process ends; returns False if another process has locked it."""

    @abstractmethod
    def check_writable(self) -> None:
        """Raise StorageError if it is certain, without asking the database, that nobody can write.

        For health checks: it must cost next to nothing.
        """

    @abstractmethod
    def servers(self) -> Mapping[str, bool]:
        """Return the servers that the URL names, and whether each is the primary.

        Connects to the primary. All are False if none can be reached.
        """

    @abstractmethod
    def check_room(self) -> None:
        """Raise StorageFull if the largest event would not fit on the disk."""

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Run the block in a transaction that excludes other writers, within `write_lock`."""

    def concurrent_transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Run the block in a transaction that may commit while others of its kind do so."""
        return self.transaction(connection)

    @abstractmethod
    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events within a transaction."""

    @abstractmethod
    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events in a transaction of their own, within `write_lock`."""

    @abstractmethod
    def find_stored(
        self, connection: Connection, rows: Sequence[Row], first_key: int
    ) -> set[Identity]:
        """Return which events are stored, with any data and a key from `first_key` on."""

    @abstractmethod
    def last_assigned_key(self, connection: Connection) -> int:
        """Return the last key that an event got, even if the event is deleted."""

    @abstractmethod
    def confirm_earlier(self, connection: Connection) -> None:
        """Let the commit of a transaction that writes nothing confirm all earlier commits too."""

    @abstractmethod
    def defer_syncs(self, connection: Connection) -> None:
        """Let commits of the writing connection return before they are on the disk.

        They hold up other writers for less time. A power cut may lose the last ones.
        """

    @abstractmethod
    def is_usable_after(self, connection: Connection, error: DBAPIError) -> bool:
        """Return whether the writing connection can be used after an error."""

    @staticmethod
    @abstractmethod
    def page(
        ordered: Select[Any], write: TextOfEvent, separator: str, closing: str
    ) -> Select[Any, Any]:
        """Return a statement for the number of the ordered events and their joined text.

        The text is None, or the statement raises TextTooLong, if it exceeds PAGE_BYTES.
        """

    @staticmethod
    @abstractmethod
    def select_texts(array: BindParameter[str]) -> Select[Any]:
        """Return a statement for the texts in a JSON array, in the column `value`."""

    @abstractmethod
    def open_reader(self, *, is_large: bool = False) -> AbstractContextManager[ReadConnection]:
        """Open a connection for reading; each statement on it sees what is committed then.

        With `is_large`, only a few rows of a result are in memory at a time.
        """

    @abstractmethod
    def create_schema(self, connection: Connection) -> bool:
        """Create this version's tables in an empty database; returns False if migrations must."""

    @abstractmethod
    def translate(self, error: BaseException) -> StorageError:
        """Return the StorageError for a driver error."""

    @abstractmethod
    def remedy(self, error: BaseException) -> str:
        """Return what to do about a driver error that prevents opening the database."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise StorageError for a driver error in the block."""
        try:
            yield
        except DBAPIError as error:
            raise self.translate(error.orig or error) from error
        except self._driver_error() as error:
            raise self.translate(error) from error

    def execute(
        self, connection: Connection, statement: ClauseElement, values: Mapping[str, Any]
    ) -> CursorResult[Any]:
        """Execute a statement that is compiled once, with values in the driver's own types."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = statement.compile(dialect=self.engine.dialect, column_keys=[*values])
            self._compiled[statement] = compiled
        names = getattr(compiled, "positiontup", None)
        parameters = tuple(values[name] for name in names) if names else dict(values)
        return connection.exec_driver_sql(str(compiled), parameters)

    def close_readers(self) -> None:
        """Close the connections of readers."""
        self.engine.dispose()

    @abstractmethod
    def close(self) -> None:
        """Release what `write_lock` keeps open."""

    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return error


def check_process(engine: Engine) -> None:
    """Raise StorageError in a process that inherited open connections.

    After a fork no open connection is safe: two processes could use it, or write at once.
    """
    if _process_of_pool.setdefault(engine.pool, os.getpid()) != os.getpid():
        raise StorageError("used before the process forked; use it only in child processes.")
