"""PostgreSQL: one writer at a time too, across all processes, so that keys count commits.

Whoever writes holds an advisory lock until its commit is done. So the events that anybody can see,
on a replica too, are always all those up to some key: what listings and cursors rest on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL, Connection, CursorResult, Engine, event
from sqlalchemy.exc import DBAPIError

from ..config import BUSY_SECONDS, CONNECT_SECONDS, COPY_EVENTS, SERVER_SILENCE_SECONDS
from . import partitions
from .backend import (
    Backend,
    Row,
    StorageBusy,
    StorageError,
    StorageFull,
    UnusableDatabase,
    check_process,
)

if TYPE_CHECKING:
    import psycopg

_LOCK = "SELECT pg_advisory_xact_lock(6453612)"
_COLUMNS = ("project_id", "id", "name", "trace_id", "date", "data")
_INSERT = (
    "INSERT INTO event (project_id, id, name, trace_id, date, data) SELECT * FROM unnest"
    "(%b::int[], %b::bigint[], %b::text[], %b::text[], %b::text[]::timestamptz[], %b::text[])"
)

_SET_UP = f"""
    SET timezone = 'UTC';
    SET lock_timeout = '{BUSY_SECONDS}s';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
"""

# SQLSTATE, PostgreSQL's appendix A
_BUSY = {"40001", "40P01", "55P03", "57014"}
_FULL = {"53100"}
_READ_ONLY = "25006"


class PostgreSQL(Backend):
    """A database that any number of processes write to by turns."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._partitions = partitions.PartitionMaintainer()
        self._warnings: list[str] = []

    def path(self) -> str:
        """Return where the database is, for people to read."""
        return self.engine.url.render_as_string()

    def open_writer(self) -> Connection:
        """Open a connection that may write; a process has one at a time."""
        connection = self.engine.connect()
        driver(connection).add_notice_handler(self._hear)
        return connection

    @contextmanager
    def write_lock(self, connection: Connection) -> Iterator[None]:
        """See that the days ahead have partitions; each transaction takes the lock by itself."""
        check_process(self.engine)
        self._partitions.keep(connection, self.transaction)
        yield

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Run the block in a transaction in which nobody else writes; raises StorageError."""
        with self._ended(connection):
            connection.exec_driver_sql(f"BEGIN; {_LOCK}")
            yield
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def _ended(self, connection: Connection) -> Iterator[None]:
        self._warnings.clear()
        try:
            yield
        except BaseException:
            if not connection.invalidated and not driver(connection).closed:
                driver(connection).execute("ROLLBACK")
            raise
        # Such as that a synchronous replica did not confirm: the commit stands here, but only here.
        if self._warnings:
            raise StorageError(self._warnings[0])

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events to a transaction."""
        with _errors():
            if 0 < len(rows) < COPY_EVENTS:
                driver(connection).execute(_INSERT, _columns(rows), prepare=True)
                return
        copy(connection, _COLUMNS, rows)

    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Do nothing: its memory is its server's business."""

    def store(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Add events in a transaction of their own; a few of them in a single exchange."""
        if len(rows) >= COPY_EVENTS:
            with self.transaction(connection):
                self.insert(connection, rows)
            return
        with _errors(), self._ended(connection), driver(connection).pipeline():
            driver(connection).execute("BEGIN")
            driver(connection).execute(_LOCK)
            driver(connection).execute(_INSERT, _columns(rows), prepare=True)
            driver(connection).execute("COMMIT")

    def execute(
        self, connection: Connection, sql: str, values: tuple[Any, ...]
    ) -> CursorResult[Any]:
        """Run a statement that has a `?` for each value."""
        return connection.exec_driver_sql(sql.replace("?", "%s"), values)

    def is_usable_after(self, connection: Connection, error: BaseException) -> bool:
        """Tell whether the writing connection can go on; one to a replica must look for another."""
        is_open = not connection.invalidated and not driver(connection).closed
        return is_open and _state(error) != _READ_ONLY

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")


def options(url: URL) -> dict[str, Any]:
    """Return how the engine is made; what the URL says of a connection wins."""
    connection = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": 1000 * SERVER_SILENCE_SECONDS,
        "keepalives_idle": SERVER_SILENCE_SECONDS // 2,
        "keepalives_interval": 1,
        "application_name": "bytelog",
    }
    return {
        "connect_args": {name: it for name, it in connection.items() if name not in url.query},
        "max_overflow": -1,
        "pool_use_lifo": True,
    }


def copy(connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add events to a transaction by COPY, with the columns that are named."""
    statement = f"COPY event ({', '.join(columns)}) FROM STDIN".encode()
    with _errors(), driver(connection).cursor().copy(statement) as target:
        for row in rows:
            target.write_row(row)


def check_driver() -> None:
    """Raise UnusableDatabase where psycopg is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UnusableDatabase(
            f"PostgreSQL needs a driver ({error}). Install it: pip install 'bytelog[postgres]'"
        ) from error


def set_up(engine: Engine) -> None:
    """Have each connection set up when it is opened."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "checkout", lambda *_: check_process(engine))


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """Return the driver's own connection."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def translated(error: BaseException) -> StorageError:
    """Return the error that the rest of bytelog knows for one that the driver raised."""
    state = _state(error)
    if state in _BUSY:
        return StorageBusy("another program holds the database; try again")
    return (StorageFull if state in _FULL else StorageError)(str(error).partition("\n")[0])


def remedy() -> str:
    """Return what to do about a database that cannot be opened."""
    return "See that its server runs, and what BYTELOG_DATABASE_URL says."


def _state(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", ""))


@contextmanager
def _errors() -> Iterator[None]:
    """Raise DBAPIError, as SQLAlchemy does, for what the driver raises in the block."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _set_up(connection: psycopg.Connection[Any], _: object) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnusableDatabase(f"the database is in {encoding}; make it with ENCODING 'UTF8'.")
    connection.execute(_SET_UP)
