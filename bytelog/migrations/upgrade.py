"""The upgrade of a database from any older schema to the schema of this version."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from flask import Flask
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from ..storage import cursor_secret
from ..storage.database import backend_of, db
from ..storage.errors import UnusableDatabase
from ..storage.models import DEFAULT_PROJECT_ID, Project

HEAD = "0015"
"""The revision of this version's schema."""

VERSION_TABLE = "bytelog_version"
"""The table with the database's revision, separate from a host's own `alembic_version`."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def init_app(app: Flask) -> None:
    """Upgrade the application's database to HEAD; raises UnusableDatabase."""
    with app.app_context():
        upgrade(db.engine)


def upgrade(engine: Engine) -> None:
    """Upgrade a database to HEAD, with one transaction per step; raises UnusableDatabase."""
    try:
        with engine.connect() as connection:
            is_current = revision_of(connection) == HEAD
        if not is_current:
            _take_steps(engine)
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split()).rstrip("?")  # libpq's has several lines.
        raise UnusableDatabase(
            f"the database {backend_of(engine).location()} cannot be used: {reason}. "
            f"{backend_of(engine).remedy(error.orig or error)}"
        ) from error
    finally:
        backend_of(engine).close_readers()  # No connection must cross a fork.


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database's schema, None if it is not bytelog's."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar() or "base"


def _take_steps(engine: Engine) -> None:
    with backend_of(engine).open_writer() as connection:
        revision = _run_exclusively(connection, _create_if_missing)
        if revision != HEAD:
            # Loading takes long. Later steps would do it while other processes wait for the lock.
            import_module("alembic.command")
        while revision != HEAD:
            revision = _run_exclusively(connection, _migrate)


def _run_exclusively(connection: Connection, step: Callable[[Connection], None]) -> str:
    """Take a step in a transaction; return the revision after it."""
    with backend_of(connection.engine).transaction(connection):
        step(connection)
        return revision_of(connection) or ""


def _create_if_missing(connection: Connection) -> None:
    if revision_of(connection) is not None:
        return
    _version.create(connection)
    if backend_of(connection.engine).create_schema(connection):
        connection.execute(insert(Project).values(id=DEFAULT_PROJECT_ID, name="default"))
        cursor_secret.create(backend_of(connection.engine), connection)
        connection.execute(insert(_version).values(version_num=HEAD))


def _migrate(connection: Connection) -> None:
    revision = revision_of(connection)
    if revision == HEAD:  # Another process was faster.
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "bytelog:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    if revision not in {"base", *(script.revision for script in scripts)}:
        raise UnusableDatabase(
            f"the database {backend_of(connection.engine).location()} was written by a newer "
            f"bytelog (its schema is {revision}, this version's is {HEAD}). Install the newer "
            "version, or restore a backup."
        )
    command.upgrade(config, "+1")
