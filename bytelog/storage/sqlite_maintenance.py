"""Deleting from an SQLite file, copying to and from it, checking and measuring it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import Insert

from .backend import Backend
from .maintenance import Exclusive, Maintenance, Sizes, list_deleted
from .reserve import Reserve
from .sqlite_connection import driver, read_pragma
from .sqlite_file_space import SQLiteFileSpace, fill_log

IMPORT_CACHE_BYTES = 64 * 1024 * 1024
"""Page cache during an import, whose rows are spread over the indexes."""


class SQLiteMaintenance(Maintenance):
    """Deletes from the file, copies to and from it, checks and measures it.

    `file` is its path, None for a database in memory.
    """

    insert_class = Insert

    def __init__(self, backend: Backend, file: str | None) -> None:
        self._backend = backend
        self._reserve = Reserve(file)
        self._data_version = 0

    def release_reserve(self) -> bool:
        """Remove the file that keeps space on the disk; returns whether there was one."""
        return self._reserve.release()

    def restore_reserve(self) -> None:
        """Create the file that keeps space on the disk, if the disk has enough."""
        self._reserve.restore()

    @contextmanager
    def overwrite_deleted(self, connection: Connection) -> Iterator[None]:
        """Overwrite what the block deletes with zeros, freed pages included.

        FAST, which always applies, leaves freed pages as they are: overwriting them takes time.
        """
        connection.exec_driver_sql("PRAGMA secure_delete=ON").scalar()
        try:
            yield
        finally:
            # A Ctrl-C makes SQLAlchemy close the connection; the next one begins with FAST.
            if not connection.invalidated:
                connection.exec_driver_sql("PRAGMA secure_delete=FAST").scalar()

    def vacuum(self, connection: Connection) -> None:
        """Do nothing: deleted events are overwritten."""

    def file_space(self) -> SQLiteFileSpace:
        """Return the space of the file."""
        return SQLiteFileSpace(self._backend)

    def drop_expired(self, before: datetime, transaction: Exclusive) -> Iterator[int]:
        """Yield nothing: the file has no partitions."""
        yield from ()

    def skip_deleted_projects(self, connection: Connection) -> None:
        """Make the database skip new events of all deleted projects, within a transaction."""
        assigned = "SELECT seq FROM sqlite_sequence WHERE name = 'project'"
        ids = list_deleted(connection, connection.exec_driver_sql(assigned).scalar_one())
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS event_of_deleted_project")
        connection.exec_driver_sql(
            "CREATE TRIGGER event_of_deleted_project BEFORE INSERT ON event "
            f"WHEN NEW.project_id IN ({ids}) BEGIN SELECT RAISE(IGNORE); END"
        )

    def create_partitions(self, connection: Connection, days: Iterable[date]) -> None:
        """Do nothing: the file has no partitions."""

    def prepare_bulk_insert(self, connection: Connection) -> None:
        """Enlarge the page cache."""
        connection.exec_driver_sql(f"PRAGMA cache_size=-{IMPORT_CACHE_BYTES // 1024}")

    def has_other_writers(self, connection: Connection) -> bool:
        """Return whether another connection has committed since the last call."""
        before, self._data_version = self._data_version, read_pragma(connection, "data_version")
        return self._data_version != before

    def copy(
        self, connection: Connection, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Insert the named columns of events, the key included, within a transaction."""
        values = ", ".join("?" * len(columns))
        statement = f"INSERT INTO event ({', '.join(columns)}) VALUES ({values})"  # noqa: S608
        driver(connection).executemany(statement, map(tuple, rows))

    def restart_sequence(self, connection: Connection, table: str, column: str, last: int) -> None:
        """Make the numbers that a table assigns continue after a number."""
        del column  # SQLite counts by table.
        execute = driver(connection).execute
        if not execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last, table)).rowcount:
            execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))

    @contextmanager
    def snapshot(self, exclusive: Exclusive) -> Iterator[Connection]:
        """Open a connection that sees one state of the database while others write."""
        with self._backend.errors(), self._backend.engine.connect() as connection:
            with exclusive() as writing:
                fill_log(writing)
                connection.exec_driver_sql("BEGIN")
                # The snapshot is taken by the first statement that reads.
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def find_damage(self, connection: Connection) -> str:
        """Return the first damage found, "" if there is none."""
        try:
            # After its first finding SQLite may fail, and then the driver discards the finding.
            (finding,) = driver(connection).execute("PRAGMA integrity_check(1)").fetchone()
            orphan = driver(connection).execute("PRAGMA foreign_key_check").fetchone()
        except sqlite3.DatabaseError as error:
            return str(error)
        if finding != "ok":
            return str(finding)
        return "row {1} of {0} refers to no {2}".format(*orphan) if orphan else ""

    def find_oldest_transaction(self, connection: Connection) -> None:
        """Return None: no transaction holds back arrivals."""

    def sizes(self, connection: Connection) -> Sizes:
        """Return the sizes of the file, its free pages, and its log."""
        free = read_pragma(connection, "freelist_count") * read_pragma(connection, "page_size")
        return Sizes(self._backend.file().stat().st_size, free, self.log_bytes())

    def log_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        log = Path(f"{self._backend.engine.url.database}-wal")
        return log.stat().st_size if log.exists() else 0
