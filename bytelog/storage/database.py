"""The database: which kind it is, and how it is reached."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, Executable, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase

from . import postgresql, sqlite
from .backend import Backend, StorageError, UnusableDatabase
from .postgresql import PostgreSQL
from .sqlite import SQLite


class Base(DeclarativeBase):
    """The base of every model."""


db = SQLAlchemy(metadata=Base.metadata)

_backends: WeakKeyDictionary[Engine, Backend] = WeakKeyDictionary()

_REPLICA = "replica"
_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")


def init_app(app: Flask) -> None:
    """Connect the application to its database; raises UnusableDatabase."""
    default = f"sqlite:///{Path(app.instance_path) / 'bytelog.db'}"
    url = _parse_setting(app, "BYTELOG_DATABASE_URL") or make_url(default)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    # No transaction but those that the writer begins: in SQLite a read that turns into a write
    # fails.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"isolation_level": "AUTOCOMMIT"}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] |= _prepare(url, Path(app.instance_path))
    app.config["SQLALCHEMY_BINDS"] = _replica(app, url)
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            if engine.dialect.name == "postgresql":
                postgresql.set_up(engine)
            else:
                sqlite.set_up(engine, checkpoints=app.config["BYTELOG_CHECKPOINTS"] != "off")


def read_engine() -> Engine:
    """Return where events are read: a replica, if there is one."""
    return db.engines.get(_REPLICA, db.engine)


def close_readers() -> None:
    """Close the application's connections for reading."""
    for engine in db.engines.values():
        backend_of(engine).close_readers()


def backend_of(engine: Engine) -> Backend:
    """Return what does the work of the engine's kind of database."""
    if engine not in _backends:
        kind = PostgreSQL if engine.dialect.name == "postgresql" else SQLite
        _backends[engine] = kind(engine)
    return _backends[engine]


def connect(url: str, setting: str) -> Engine:
    """Return an engine for a PostgreSQL database beside the application's own.

    Raises UnusableDatabase, which says of the setting what is wrong with the URL.
    """
    parsed = _parse_url(url, setting)
    if parsed.get_backend_name() != "postgresql":
        raise UnusableDatabase(f"{setting} names no PostgreSQL database.")
    engine = create_engine(parsed, isolation_level="AUTOCOMMIT", **_prepare(parsed, Path()))
    postgresql.set_up(engine)
    return engine


def fetch(
    engine: Engine, statement: Executable, parameters: dict[str, Any] | None = None
) -> Sequence[Any]:
    """Read rows over a reader's connection; raises StorageError."""
    with storage_errors(), engine.connect() as connection:
        return connection.execute(statement, parameters or {}).all()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageError for what a driver raises in the block."""
    try:
        yield
    except DBAPIError as error:
        raise translated(error) from error
    except sqlite3.Error as error:
        raise sqlite.translated(error) from error


def translated(error: DBAPIError) -> StorageError:
    """Return the error that the rest of bytelog knows for one that the driver raised."""
    cause = cast("BaseException", error.orig)
    if isinstance(cause, sqlite3.Error):
        return sqlite.translated(cause)
    return postgresql.translated(cause)


def remedy(error: DBAPIError) -> str:
    """Return what to do about a database that cannot be opened."""
    cause = cast("BaseException", error.orig)
    return sqlite.remedy(cause) if isinstance(cause, sqlite3.Error) else postgresql.remedy()


def _replica(app: Flask, primary: URL) -> dict[str | None, dict[str, Any]]:
    url = _parse_setting(app, "BYTELOG_READ_DATABASE_URL")
    if url is None:
        return {}
    if "sqlite" in (primary.get_backend_name(), url.get_backend_name()):
        raise UnusableDatabase("BYTELOG_READ_DATABASE_URL is for replicas of PostgreSQL only.")
    return {_REPLICA: {"url": url, **postgresql.options(url)}}


def _parse_setting(app: Flask, setting: str) -> URL | None:
    text = app.config[setting]
    return _parse_url(text, setting) if text else None


def _parse_url(text: str, setting: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UnusableDatabase(f"{setting} is not a URL: {error}") from error
    if url.drivername not in _DRIVERS or "uri" in url.query:
        raise UnusableDatabase(
            f"{setting} names {url.drivername}; write sqlite:////path/to/bytelog.db, "
            "or postgresql+psycopg://user:password@host/database."
        )
    return url


def _prepare(url: URL, folder: Path) -> dict[str, Any]:
    if url.get_backend_name() == "postgresql":
        postgresql.check_driver()
        return postgresql.options(url)
    if not sqlite.is_in_memory(url):
        sqlite.create_file(folder, str(url.database))
    return sqlite.options(url)
