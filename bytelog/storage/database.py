"""The application's database: its engines, and the backend of each."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, Executable, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .backend import Backend
from .errors import StorageError, UnusableDatabase
from .models import Base

BACKENDS = {
    "sqlite": "sqlite.SQLite",
    "postgresql": "postgresql.PostgreSQL",
}
"""The module and class for each database name in a URL. Imported when needed."""

db = SQLAlchemy(metadata=Base.metadata)

_REPLICA = "replica"

_backends: WeakKeyDictionary[Engine, Backend] = WeakKeyDictionary()


def init_app(app: Flask) -> None:
    """Connect the application to its database; raises UnusableDatabase."""
    folder = Path(app.instance_path)
    # A path is not pasted into the text of a URL: it may hold characters such as `?` and `%`.
    default = URL.create("sqlite", database=str(folder / "bytelog.db"))
    url = _read_setting(app, "BYTELOG_DATABASE_URL") or default
    url = _backend_class(url).prepare(url, folder)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url)
    app.config["SQLALCHEMY_BINDS"] = _replica(app, url)
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            backend_of(engine).configure(app.config)


def read_engine() -> Engine:
    """Return the engine for reading events: the replica's, if there is one."""
    return db.engines.get(_REPLICA, db.engine)


def close_readers() -> None:
    """Close the application's connections for reading."""
    for engine in db.engines.values():
        backend_of(engine).close_readers()


def backend_of(engine: Engine) -> Backend:
    """Return the backend of an engine."""
    if engine not in _backends:
        _backends[engine] = _backend_class(engine.url)(engine)
    return _backends[engine]


def connect(url: str, setting: str) -> Engine:
    """Return an engine for a database beside the application's own.

    Raises UnusableDatabase, which names the setting if the URL is wrong.
    """
    parsed = _parse_url(url, setting)
    parsed = _backend_class(parsed).prepare(parsed, Path())
    engine = create_engine(parsed, **_engine_options(parsed))
    backend_of(engine).configure({})
    return engine


def fetch(
    engine: Engine, statement: Executable, parameters: dict[str, Any] | None = None
) -> Sequence[Any]:
    """Return all rows of a statement, read over a reader's connection; raises StorageError."""
    with backend_of(engine).errors(), engine.connect() as connection:
        return connection.execute(statement, parameters or {}).all()


def fetch_or_fall_back(statement: Executable) -> Sequence[Any]:
    """Return all rows of a statement, from the replica if the primary fails.

    Raises StorageError.
    """
    try:
        return fetch(db.engine, statement)
    except StorageError:
        if read_engine() is db.engine:
            raise
        return fetch(read_engine(), statement)


def _backend_class(url: URL) -> type[Backend]:
    module, _, name = BACKENDS[url.get_backend_name()].partition(".")
    return cast("type[Backend]", getattr(import_module(f".{module}", __package__), name))


def _engine_options(url: URL) -> dict[str, Any]:
    # The writer begins every transaction itself: in SQLite, a transaction that starts by reading
    # cannot write once another connection has committed.
    return {"isolation_level": "AUTOCOMMIT", **_backend_class(url).engine_options(url)}


def _replica(app: Flask, primary: URL) -> dict[str | None, dict[str, Any]]:
    url = _read_setting(app, "BYTELOG_READ_DATABASE_URL")
    if url is None:
        return {}
    if not (_backend_class(primary).is_server and _backend_class(url).is_server):
        raise UnusableDatabase(
            "BYTELOG_READ_DATABASE_URL is for replicas of PostgreSQL only. Unset it, or set "
            "BYTELOG_DATABASE_URL to the URL of the primary."
        )
    return {_REPLICA: {"url": url, **_engine_options(url)}}


def _read_setting(app: Flask, setting: str) -> URL | None:
    text = app.config[setting]
    return _parse_url(text, setting) if text else None


def _parse_url(text: str, setting: str) -> URL:
    examples = ", or ".join(_backend_class(URL.create(name)).url_example for name in BACKENDS)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # The error may contain a part of the password.
        raise UnusableDatabase(
            f"{setting} is not a URL; write {examples}. Encode special characters of a password, "
            "such as %40 for @."
        ) from error
    is_known = url.get_backend_name() in BACKENDS and url.drivername in _backend_class(url).drivers
    if not is_known or "uri" in url.query:
        raise UnusableDatabase(f"{setting} names {url.drivername}; write {examples}.")
    return url
