"""SQLite: one file, in which readers never wait, and a commit is on the disk when it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, BindParameter, Connection, Engine, Select, event, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite as SQLiteDialect
from sqlalchemy.exc import DBAPIError

from ..config import BUSY_SECONDS
from . import sqlite_errors, sqlite_file, sqlite_rows
from .backend import Backend, Identity, ReadConnection, Row, check_process
from .errors import StorageError, StorageFull
from .file_lock import DatabaseFile
from .keyset import TWO_PART_PLANS
from .models import Base, Event
from .sql import Joined, TextOfEvent
from .sqlite_connection import configure_connections, driver, is_in_memory
from .sqlite_maintenance import SQLiteMaintenance
from .types import UTF8


class SQLite(Backend):
    """A file that one process at a time writes to, or a database in memory."""

    drivers = ("sqlite", "sqlite+pysqlite")
    url_example = "sqlite:////path/to/bytelog.db"
    is_server = False
    sorts_groups = True
    commits_concurrently = False
    dialect = SQLiteDialect()
    keyset_plans = TWO_PART_PLANS

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        check_process(engine)
        path = None if is_in_memory(engine.url) else self.location()
        self._file = DatabaseFile(path)
        self.maintenance = SQLiteMaintenance(self, path)

    @staticmethod
    def prepare(url: URL, folder: Path) -> URL:
        """Create the data folder and the file with access for their owner only.

        Returns the URL with the real path of the file.
        """
        if is_in_memory(url):
            return url
        return url.set(database=str(sqlite_file.create(folder, str(url.database))))

    @staticmethod
    def engine_options(url: URL) -> dict[str, Any]:
        """Return the arguments of `create_engine`."""
        pool = {} if is_in_memory(url) else {"max_overflow": -1, "pool_use_lifo": True}
        return {"connect_args": {"timeout": BUSY_SECONDS}, **pool}

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Configure each connection when it is opened."""
        # Before a connection is opened, too: SQLite would create a file that is missing.
        event.listen(self.engine, "do_connect", lambda *_: self._check_use())
        configure_connections(self.engine, checkpoints=settings.get("BYTELOG_CHECKPOINTS", True))
        event.listen(self.engine, "checkout", lambda *_: self._check_use())

    def location(self) -> str:
        """Return the path of the file, or the URL of a database in memory."""
        return self.engine.url.database or str(self.engine.url)

    def file(self) -> Path:
        """Return the path of the file; raises StorageError for a database in memory."""
        if is_in_memory(self.engine.url):
            raise StorageError("the database is in memory: it has no file, and ends with bytelog.")
        return Path(self.location())

    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has at most one."""
        connection = self.engine.connect()
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        return connection

    @contextmanager
    def write_lock(self, _: Connection) -> Iterator[None]:
        """Keep other bytelog processes from writing; raises StorageBusy and StorageError."""
        check_process(self.engine)
        with self._file.write_lock():
            yield

    def try_lock(self, name: str) -> bool:
        """Lock a name until this process ends; returns False if another process has locked it."""
        return self._file.try_lock(name)

    def check_writable(self) -> None:
        """Raise StorageError if the file has been replaced or its disk is read-only."""
        self._file.check_writable()

    def servers(self) -> dict[str, bool]:
        """Return none: the database is a file."""
        return {}

    def check_room(self) -> None:
        """Raise StorageFull if the largest event would not fit on the disk."""
        if self._file.is_disk_full():
            raise StorageFull("database or disk is full")

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Run the block in a transaction that takes SQLite's write lock at its start."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            # A Ctrl-C during a statement makes SQLAlchemy close the connection.
            if not connection.invalidated and driver(connection).in_transaction:
                connection.exec_driver_sql("ROLLBACK")
            raise

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events within a transaction."""
        sqlite_rows.insert(driver(connection), rows)

    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events in a transaction of their own; a single statement needs no BEGIN."""
        if len(rows) <= sqlite_rows.STATEMENT_ROWS:
            self.insert(connection, rows)
            return
        with self.transaction(connection):
            self.insert(connection, rows)

    def find_stored(
        self, connection: Connection, rows: Sequence[Row], first_key: int
    ) -> set[Identity]:
        """Return which events are stored, with any data and a key from `first_key` on."""
        return sqlite_rows.find(driver(connection), rows, first_key)

    def last_assigned_key(self, connection: Connection) -> int:
        """Return the last key that an event got, even if the event is deleted."""
        assigned = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'"
        return int(connection.exec_driver_sql(assigned).scalar_one())

    def confirm_earlier(self, connection: Connection) -> None:
        """Do nothing: what is visible is on the disk."""

    def defer_syncs(self, connection: Connection) -> None:
        """Leave syncing the write-ahead log to the next commit of another connection."""
        connection.exec_driver_sql("PRAGMA synchronous=NORMAL")

    def is_usable_after(self, _: Connection, __: DBAPIError) -> bool:
        """Return True: a connection to a file does not break."""
        return True

    @staticmethod
    def page(
        ordered: Select[Any], write: TextOfEvent, separator: str, closing: str
    ) -> Select[Any, Any]:
        """Return a statement for the number of the ordered events and their joined text.

        SQLite keeps the order of a subquery for an aggregate around it (flattening rule 16), and
        fails with SQLITE_TOOBIG at PAGE_BYTES.
        """
        texts = ordered.with_only_columns(write(Event.__table__.c).label("text"))
        text = Joined(texts.subquery().c.text, separator) + closing
        return select(func.count(), sql_cast(text, UTF8))

    @staticmethod
    def select_texts(array: BindParameter[str]) -> Select[Any]:
        """Return a statement for the texts in a JSON array, in the column `value`."""
        return select(func.json_each(array).table_valued("value").c.value)

    @contextmanager
    def open_reader(self, *, is_large: bool = False) -> Iterator[ReadConnection]:
        """Open a connection for reading; the driver executes its statements, row by row."""
        with closing(self.engine.raw_connection()) as pooled:
            connection: Any = pooled.driver_connection
            yield ReadConnection(connection.execute, connection.interrupt)

    def create_schema(self, connection: Connection) -> bool:
        """Create the tables: a new file needs no history, and the first start no Alembic."""
        Base.metadata.create_all(connection, checkfirst=False)
        return True

    def translate(self, error: BaseException) -> StorageError:
        """Return the StorageError for a driver error."""
        # SQLite reports a used-up quota as it reports a broken disk.
        if sqlite_errors.is_failed_write(error) and self._file.is_disk_full():
            return StorageFull("the user's quota on the disk is used up")
        return sqlite_errors.translate(error)

    def remedy(self, error: BaseException) -> str:
        """Return what to do about a driver error that prevents opening the database."""
        return sqlite_errors.remedy(error)

    def close_readers(self) -> None:
        """Close the connections of readers; a database in memory lives in its one connection."""
        if not is_in_memory(self.engine.url):
            super().close_readers()

    def close(self) -> None:
        """Close the lock file."""
        self._file.close()

    def _check_use(self) -> None:
        # For readers too: a file that was restored in place of this one has other keys and events.
        check_process(self.engine)
        self._file.check()
