"""The commands: `bytelog NAME`, and `flask NAME` for the same."""

from __future__ import annotations

from flask import Flask

from .database import back_up as back_up
from .database import check as check
from .database import prune as prune
from .database import stats as stats
from .demo import demo as demo
from .events import export_events as export_events
from .events import import_events as import_events
from .keys import keys_group as keys_group
from .migrate import migrate as migrate
from .serve import serve as serve

COMMANDS = (
    serve,
    keys_group,
    export_events,
    import_events,
    back_up,
    check,
    prune,
    stats,
    migrate,
    demo,
)


def init_app(app: Flask) -> None:
    """Add the commands to the application's `flask` command."""
    app.extensions["bytelog"] = app
    for command in COMMANDS:
        app.cli.add_command(command)
