"""bytelog: business events, posted by applications, read back by date or followed by trace id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask

from . import auth, cli, config, db, embed, errors, events, health, migrations, writer

__all__ = ["create_app", "init_app"]


def create_app(
    settings: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
) -> Flask:
    """Make bytelog's WSGI application.

    `settings` are those of the README and win over the environment and `config.py`;
    `instance_path` is the data folder. Raises SetupError.
    """
    settings = settings or {}
    folder = config.data_folder(settings, instance_path)
    app = Flask(__name__, instance_path=str(folder), static_folder=None)
    config.init_app(app, settings)
    db.init_app(app)
    migrations.init_app(app)
    writer.init_app(app)
    auth.init_app(app)
    errors.init_app(app)
    events.init_app(app)
    health.init_app(app)
    cli.init_app(app)
    return app


def init_app(
    app: Flask,
    settings: Mapping[str, Any] | None = None,
    instance_path: str | os.PathLike[str] | None = None,
) -> Flask:
    """Add the API, and the command `keys`, to a Flask application; returns bytelog's own.

    Settings come from the host's `app.config` too, where they start with `BYTELOG_`; the other
    arguments are those of `create_app`. Raises SetupError.
    """
    host_settings = {name: value for name, value in app.config.items() if name in config.SETTINGS}
    service = create_app({**host_settings, **(settings or {})}, instance_path)
    embed.init_app(app, service)
    return service
