"""The list of all commands, for the `bytelog` and `flask` commands and for `/docs`."""

from __future__ import annotations

from flask import Flask

from .config import show_config
from .database import back_up, check
from .demo import demo
from .erase import erase
from .events import export_events, import_events
from .follow import follow
from .followers import followers_group
from .keys import keys_group
from .mcp import mcp
from .migrate import migrate
from .projects import projects_group
from .prune import prune
from .query import query
from .seal import seal_events
from .serve import serve
from .stats import stats
from .tail import tail

COMMANDS = (
    serve,
    keys_group,
    projects_group,
    show_config,
    query,
    tail,
    follow,
    followers_group,
    export_events,
    import_events,
    back_up,
    check,
    seal_events,
    prune,
    erase,
    stats,
    migrate,
    demo,
    mcp,
)


def init_app(app: Flask) -> None:
    """Add the commands to the application, as `flask NAME`."""
    for command in COMMANDS:
        app.cli.add_command(command)
