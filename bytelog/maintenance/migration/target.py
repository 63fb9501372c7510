"""Writing to the database that is copied to, which a running server may write to as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, inspect

from ...migrations.upgrade import revision_of
from ...storage.backend import Backend
from ...storage.database import backend_of
from .. import inspection


@contextmanager
def transaction(backend: Backend, connection: Connection) -> Iterator[None]:
    """Run the block in a transaction that excludes other writers; raises StorageError."""
    with backend.write_lock(connection), backend.transaction(connection):
        yield


def has_schema(engine: Engine) -> bool:
    """Return whether a database has bytelog's tables; raises StorageError for a newer version's."""
    with backend_of(engine).errors(), engine.connect() as connection:
        if revision_of(connection) is None:
            return False
        inspection.read_revision(connection)
        return inspect(connection).has_table("event")


def has_table(engine: Engine, name: str) -> bool:
    """Return whether a database has a table, which an older version's lacks."""
    with backend_of(engine).errors(), engine.connect() as connection:
        return inspect(connection).has_table(name)
