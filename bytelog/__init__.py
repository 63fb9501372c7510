"""bytelog: business events, posted by applications, read back by date or followed by trace id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask

from . import (
    auth,
    browsers,
    cli,
    clients,
    db,
    docs,
    embed,
    errors,
    events,
    explorer,
    health,
    metrics,
    migrations,
    openapi,
    projects,
    rate_limit,
    writer,
)
from . import config as settings
from .auth import Access, Authenticate
from .backend import StorageError
from .direct import Bytelog

__all__ = ["Access", "Bytelog", "StorageError", "create_app", "init_app"]


def create_app(
    config: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
    authenticate: Authenticate | None = None,
) -> Flask:
    """Make bytelog's WSGI application.

    `config` holds settings of the README and wins over the environment and `config.py`;
    `instance_path` is the data folder; `authenticate` opens the API instead of bytelog's keys: it
    gets a request's bearer token, or None, and its WSGI environment, and returns an Access, or
    None for 401. Raises SetupError.
    """
    config = config or {}
    folder = settings.data_folder(config, instance_path)
    app = Flask(__name__, instance_path=str(folder), static_folder=None)
    settings.init_app(app, config)
    db.init_app(app)
    migrations.init_app(app)
    writer.init_app(app)
    projects.init_app(app)
    metrics.init_app(app)
    auth.init_app(app, authenticate)
    rate_limit.init_app(app)
    browsers.init_app(app)
    errors.init_app(app)
    events.init_app(app)
    explorer.init_app(app)
    health.init_app(app)
    openapi.init_app(app)
    clients.init_app(app)
    docs.init_app(app)
    cli.init_app(app)
    return app


def init_app(
    app: Flask,
    config: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
    authenticate: Authenticate | None = None,
) -> Flask:
    """Add the API, and the command `keys`, to a Flask application; returns bytelog's own.

    Settings come from the host's `app.config` too, where they start with `BYTELOG_`; the other
    arguments are those of `create_app`. Raises SetupError.
    """
    hosts = {name: value for name, value in app.config.items() if name in settings.SETTINGS}
    service = create_app({**hosts, **(config or {})}, instance_path, authenticate)
    embed.init_app(app, service)
    return service
