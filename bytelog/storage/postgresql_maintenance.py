"""Deleting from a PostgreSQL database, copying to and from it, checking and measuring it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, select, table
from sqlalchemy.dialects.postgresql import Insert

from . import partitions, postgresql_rows
from .backend import Backend
from .leaves import is_sealed
from .maintenance import Exclusive, Maintenance, OpenTransaction, Sizes, list_deleted
from .open_transactions import find_oldest
from .postgresql_connection import driver
from .postgresql_errors import dbapi_errors

_SKIP_DELETED = """
    CREATE OR REPLACE FUNCTION skip_event() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RETURN NULL; END';
    CREATE OR REPLACE TRIGGER event_of_deleted_project BEFORE INSERT ON event
        FOR EACH ROW WHEN (NEW.project_id IN ({})) EXECUTE FUNCTION skip_event();
"""


class PostgreSQLMaintenance(Maintenance):
    """Deletes from the database, copies to and from it, checks and measures it."""

    insert_class = Insert

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def release_reserve(self) -> bool:
        """Return False: the server manages its disk."""
        return False

    def restore_reserve(self) -> None:
        """Do nothing: the server manages its disk."""

    def overwrite_deleted(self, _: Connection) -> AbstractContextManager[None]:
        """Do nothing: `vacuum` removes what is deleted."""
        return nullcontext()

    def vacuum(self, connection: Connection) -> None:
        """Vacuum the table and renew its statistics, which have values; not in a transaction."""
        connection.exec_driver_sql("VACUUM (ANALYZE) event")

    def file_space(self) -> None:
        """Return None: the server's vacuum reclaims space."""

    def drop_expired(self, before: datetime, transaction: Exclusive) -> Iterator[int]:
        """Drop the partitions of days before a time; yields the number of events in each.

        Once events were sealed, only empty partitions are dropped.
        """
        with self._backend.errors(), self._backend.engine.connect() as connection:
            for name in partitions.list_expired(connection, before):
                # Count before taking the lock: counting reads the whole partition.
                count = select(func.count()).select_from(table(name))
                events = connection.execute(count).scalar_one()
                if events and is_sealed(connection):
                    continue  # Each event must leave a mark, which takes too long for one lock.
                with transaction() as writing:
                    partitions.drop(writing, name)
                yield events

    def skip_deleted_projects(self, connection: Connection) -> None:
        """Make the database skip new events of all deleted projects, within a transaction."""
        assigned = "SELECT last_value FROM project_id_seq"
        ids = list_deleted(connection, connection.exec_driver_sql(assigned).scalar_one())
        # Readers need not wait for this lock, and writers wait for the transaction anyway.
        connection.exec_driver_sql(_SKIP_DELETED.format(ids))

    def create_partitions(self, connection: Connection, days: Iterable[date]) -> None:
        """Create a partition for each day that has none, each in a transaction of its own."""
        for day in sorted(days):
            with self._backend.transaction(connection):
                partitions.create(connection, [day])

    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Do nothing: the server manages its memory."""

    def has_other_writers(self, connection: Connection) -> bool:
        """Return True: other processes may write at any time."""
        return True

    def copy(
        self, connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert the named columns of events by COPY, within a transaction."""
        with dbapi_errors():
            postgresql_rows.copy(driver(connection), columns, rows)

    def restart_sequence(self, connection: Connection, table: str, column: str, last: int) -> None:
        """Make the numbers that a table assigns continue after a number."""
        connection.exec_driver_sql(f"SELECT setval('{table}_{column}_seq', {last})")

    @contextmanager
    def snapshot(self, exclusive: Exclusive) -> Iterator[Connection]:
        """Open a connection that sees one state of the database while others write."""
        with self._backend.errors(), self._backend.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # The snapshot is taken by the first statement that reads.
            connection.exec_driver_sql("SELECT 1")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def find_damage(self, connection: Connection) -> None:
        """Return None: use PostgreSQL's own tools, pg_checksums and pg_amcheck."""

    def find_oldest_transaction(self, connection: Connection) -> OpenTransaction | None:
        """Return the oldest open transaction of the server that has an id, None without one."""
        return find_oldest(connection)

    def sizes(self, connection: Connection) -> Sizes:
        """Return how much of the server's disk space the database takes."""
        statement = "SELECT pg_database_size(current_database())"
        return Sizes(int(connection.exec_driver_sql(statement).scalar_one()))

    def log_bytes(self) -> None:
        """Return None: the server manages its log."""
