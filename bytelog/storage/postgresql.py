"""PostgreSQL: any number of processes write, and their commits wait for the disk side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    BindParameter,
    Connection,
    Engine,
    Select,
    case,
    cast,
    event,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg as PostgreSQLDialect
from sqlalchemy.exc import DBAPIError

from ..config import PAGE_BYTES
from . import postgresql_errors, postgresql_locks, postgresql_rows
from .backend import Backend, Identity, ReadConnection, Row, check_process
from .errors import StorageError, UnusableDatabase
from .keyset import ROW_COMPARISON_PLANS
from .partitions import PartitionMaintainer
from .postgresql_connection import CONNECT_SECONDS, OPTIONS, configure_connection, driver
from .postgresql_errors import dbapi_errors
from .postgresql_locks import LOCK_ALONE, LOCK_TOGETHER, UNLOCK_ALL, UNLOCK_KEYS
from .postgresql_maintenance import PostgreSQLMaintenance
from .postgresql_servers import find_primary, list_servers, prefer_last_primary
from .sql import Joined, TextOfEvent
from .types import UTF8
from .urls import hide_secrets

if TYPE_CHECKING:
    import psycopg


class PostgreSQL(Backend):
    """A database that any number of processes write to."""

    drivers = ("postgresql+psycopg",)
    url_example = "postgresql+psycopg://user:password@host/database"
    is_server = True
    sorts_groups = False
    commits_concurrently = True
    dialect = PostgreSQLDialect()  # type: ignore[no-untyped-call]
    keyset_plans = ROW_COMPARISON_PLANS

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.maintenance = PostgreSQLMaintenance(self)
        self._partitions = PartitionMaintainer()
        self._warnings: list[str] = []
        self._names: Connection | None = None

    @staticmethod
    def prepare(url: URL, folder: Path) -> URL:
        """Return the URL after checking that the driver is installed; raises UnusableDatabase."""
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise UnusableDatabase(
                f"PostgreSQL needs a driver ({error}). Install it: pip install 'bytelog[postgres]'"
            ) from error
        return url

    @staticmethod
    def engine_options(url: URL) -> dict[str, Any]:
        """Return the arguments of `create_engine`; options in the URL take precedence."""
        options = {name: value for name, value in OPTIONS.items() if name not in url.query}
        return {"connect_args": options, "max_overflow": -1, "pool_use_lifo": True}

    def configure(self, _: Mapping[str, Any]) -> None:
        """Configure each connection when it is opened."""
        event.listen(self.engine, "connect", configure_connection)
        prefer_last_primary(self.engine)
        event.listen(self.engine, "checkout", lambda *_: check_process(self.engine))

    def location(self) -> str:
        """Return the URL without its passwords."""
        return hide_secrets(self.engine.url)

    def file(self) -> Path:
        """Raise StorageError: the database is on its server."""
        raise StorageError("the database is in PostgreSQL. Use its own tools, such as pg_dump.")

    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has at most one."""
        connection = self.engine.connect()
        driver(connection).add_notice_handler(self._note_warning)
        return connection

    @contextmanager
    def write_lock(self, connection: Connection) -> Iterator[None]:
        """Create the partitions that are due; each transaction takes the lock itself."""
        check_process(self.engine)
        self._partitions.maintain(connection, self.transaction)
        yield

    def try_lock(self, name: str) -> bool:
        """Lock a name until this process ends; returns False if another process has locked it."""
        connection = self._names = self._names or self.engine.connect()
        with self.errors():
            return postgresql_locks.try_lock(connection, name)

    def check_writable(self) -> None:
        """Do nothing: only a transaction shows whether the server can write."""

    def servers(self) -> dict[str, bool]:
        """Return the servers that the URL names, and whether each is the primary."""
        primary = ""
        with suppress(StorageError), self.errors():
            primary = find_primary(self.engine)
        return {server: server == primary for server in list_servers(self.engine)}

    def check_room(self) -> None:
        """Do nothing: the server manages its disk."""

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Run the block in a transaction that excludes other writers; raises StorageError."""
        with self._roll_back_on_error(connection):
            connection.exec_driver_sql(f"BEGIN; {LOCK_ALONE}")
            yield
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def concurrent_transaction(self, connection: Connection) -> Iterator[None]:
        """Run the block in a transaction that lets others begin as soon as it commits."""
        with self._roll_back_on_error(connection):
            connection.exec_driver_sql(f"BEGIN; {LOCK_TOGETHER}")
            yield
            connection.exec_driver_sql(f"{UNLOCK_KEYS}; COMMIT")

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events within a transaction."""
        with dbapi_errors():
            postgresql_rows.insert(driver(connection), rows)

    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert events in a transaction of their own; few events need a single round trip."""
        if len(rows) >= postgresql_rows.COPY_EVENTS:
            with self.concurrent_transaction(connection):
                self.insert(connection, rows)
            return
        with (
            dbapi_errors(),
            self._roll_back_on_error(connection),
            driver(connection).pipeline(),
        ):
            driver(connection).execute("BEGIN")
            driver(connection).execute(LOCK_TOGETHER, prepare=True)
            postgresql_rows.insert(driver(connection), rows)
            driver(connection).execute(UNLOCK_KEYS, prepare=True)
            driver(connection).execute("COMMIT")

    def find_stored(
        self, connection: Connection, rows: Sequence[Row], first_key: int
    ) -> set[Identity]:
        """Return which events are stored, with any data and a key from `first_key` on."""
        with dbapi_errors():
            return postgresql_rows.find(driver(connection), rows, first_key)

    def last_assigned_key(self, connection: Connection) -> int:
        """Return the last key that an event got, even if the event is deleted."""
        assigned = "SELECT last_value - 1 + is_called::int FROM event_key_seq"
        return int(connection.exec_driver_sql(assigned).scalar_one())

    def confirm_earlier(self, connection: Connection) -> None:
        """Write to the log, so that the commit waits until synchronous standbys have it."""
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'bytelog', '')")

    def defer_syncs(self, connection: Connection) -> None:
        """Wait neither for the disk nor for a standby."""
        connection.exec_driver_sql("SET synchronous_commit = off")

    def is_usable_after(self, connection: Connection, error: DBAPIError) -> bool:
        """Return whether the writing connection is open and its server is still the primary."""
        is_open = not connection.invalidated and not driver(connection).closed
        return is_open and not postgresql_errors.is_read_only(error.orig)

    @staticmethod
    def page(
        ordered: Select[Any], write: TextOfEvent, separator: str, closing: str
    ) -> Select[Any, Any]:
        """Return a statement for the number of the ordered events and their joined text.

        It sums the lengths first, which reads no long value, and builds no text over PAGE_BYTES.
        """
        events = ordered.cte()
        size = select(func.sum(func.octet_length(events.c.data))).scalar_subquery()
        texts = select(write(events.c).label("text")).subquery()
        text = select(Joined(texts.c.text, separator) + closing).scalar_subquery()
        count = select(func.count()).select_from(events).scalar_subquery()
        return select(count, type_coerce(case((size <= PAGE_BYTES, text)), UTF8))

    @staticmethod
    def select_texts(array: BindParameter[str]) -> Select[Any]:
        """Return a statement for the texts in a JSON array, in the column `value`."""
        texts = func.jsonb_array_elements_text(cast(array, JSONB))
        return select(texts.table_valued("value").c.value)

    @contextmanager
    def open_reader(self, *, is_large: bool = False) -> Iterator[ReadConnection]:
        """Open a connection for reading."""
        with self.engine.connect() as connection:
            cancel = partial(driver(connection).cancel_safe, timeout=CONNECT_SECONDS)
            # Streaming takes longer for each row.
            execute = driver(connection).cursor().stream if is_large else connection.exec_driver_sql
            yield ReadConnection(execute, cancel)

    def create_schema(self, connection: Connection) -> bool:
        """Return False: only the migrations can create the partitioned table."""
        return False

    def translate(self, error: BaseException) -> StorageError:
        """Return the StorageError for a driver error."""
        return postgresql_errors.translate(error)

    def remedy(self, _: BaseException) -> str:
        """Return what to do about a driver error that prevents opening the database."""
        return "Check that its server runs, and that BYTELOG_DATABASE_URL is right."

    def close(self) -> None:
        """Do nothing: the lock ends with its transaction."""

    @contextmanager
    def _roll_back_on_error(self, connection: Connection) -> Iterator[None]:
        self._warnings.clear()
        try:
            yield
        except BaseException:
            if not connection.invalidated and not driver(connection).closed:
                self._roll_back(connection)
            raise
        # For example, a synchronous replica did not confirm: the commit exists only on the primary.
        if self._warnings:
            raise StorageError(self._warnings[0])

    def _roll_back(self, connection: Connection) -> None:
        try:
            driver(connection).execute(f"ROLLBACK; {UNLOCK_ALL}")
        except self._driver_error():
            # A Ctrl-C may leave a statement in progress. The server ends what a closed one began.
            connection.invalidate()

    def _note_warning(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")
