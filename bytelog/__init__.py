"""bytelog: business events, posted by applications and read by date or by trace id."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

# Garbage collections during the imports below would take a seventh of the time to start.
_collects_garbage = gc.isenabled()
gc.disable()

from flask import Flask

from . import direct
from .api import (
    admission,
    erasure,
    errors,
    events,
    health,
    key,
    metrics,
    moved_cursors,
    openapi,
    response_headers,
    summaries,
    traces,
)
from .auth import bearer, last_use, projects, rate_limit, sign_on
from .auth.bearer import Access, Authenticate
from .cli import commands
from .clients import downloads
from .direct import Bytelog
from .events import keep_rules
from .follow import lag
from .intake import endpoints as intake
from .migrations import upgrade
from .settings import loading, sources
from .storage import database, writer
from .storage.errors import StorageError
from .web import docs, explorer

if _collects_garbage:
    gc.enable()

if TYPE_CHECKING:
    from .clients.bytelog_client import AsyncClient, BytelogError, BytelogHandler, Client, Event

__all__ = [
    "Access",
    "AsyncClient",
    "Bytelog",
    "BytelogError",
    "BytelogHandler",
    "Client",
    "Event",
    "StorageError",
    "create_app",
    "init_app",
]


def create_app(
    config: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
    authenticate: Authenticate | None = None,
) -> Flask:
    """Create bytelog's WSGI application.

    `config` holds settings, which take precedence over the environment and `config.py`;
    `instance_path` is the data folder. `authenticate` replaces bytelog's own keys: it gets the
    bearer token of a request, or None, and the WSGI environment, and returns an Access, or None
    for 401. Raises SetupError.
    """
    config = config or {}
    folder = sources.data_folder(config, instance_path)
    app = Flask(__name__, instance_path=str(folder), static_folder=None)
    app.extensions["bytelog"] = app
    # Each subsystem reads the settings; the first five build on one another.
    loading.init_app(app, config)
    keep_rules.init_app(app)
    database.init_app(app)
    upgrade.init_app(app)
    writer.init_app(app)
    projects.init_app(app)
    # Metrics before all that may end a request early: it counts what they refuse, too.
    metrics.init_app(app)
    admission.init_app(app)
    lag.init_app(app)
    bearer.init_app(app, authenticate)
    sign_on.init_app(app)
    last_use.init_app(app)
    rate_limit.init_app(app)
    moved_cursors.init_app(app)
    response_headers.init_app(app)
    errors.init_app(app)
    events.init_app(app)
    summaries.init_app(app)
    traces.init_app(app)
    erasure.init_app(app)
    intake.init_app(app)
    explorer.init_app(app)
    health.init_app(app)
    key.init_app(app)
    openapi.init_app(app)
    downloads.init_app(app)
    docs.init_app(app)
    commands.init_app(app)
    return app


def init_app(
    app: Flask,
    config: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
    authenticate: Authenticate | None = None,
) -> Flask:
    """Add the API and the command `keys` to a Flask application; returns bytelog's application.

    Settings of bytelog in the host's `app.config` apply too, but `config` takes precedence; the
    other arguments are those of `create_app`. Raises SetupError.
    """
    host_settings = {
        name: value for name, value in app.config.items() if name.startswith(sources.PREFIX)
    }
    service = create_app({**host_settings, **(config or {})}, instance_path, authenticate)
    direct.init_app(app, service)
    return service


def __getattr__(name: str) -> Any:
    """Return a name of the Python client, which a server does not load."""
    if name in ("AsyncClient", "BytelogError", "BytelogHandler", "Client", "Event"):
        from .clients import bytelog_client

        return getattr(bytelog_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
