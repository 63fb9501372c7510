"""`bytelog serve`."""

from __future__ import annotations

import click
from flask import Flask

from ..config import RANGES
from ..intake import endpoints as intake
from ..server.server import AccessLog, Server, set_up_logging
from ..storage.database import backend_of, db
from .options import with_service


@click.command()
@click.option("--host", show_default="BYTELOG_HOST, or 127.0.0.1", help="Address to listen on.")
@click.option(
    "--port",
    show_default="BYTELOG_PORT, or 8000",
    type=click.IntRange(*RANGES["BYTELOG_PORT"]),
    help="Port to listen on; 0 for any free port.",
)
@click.option(
    "--threads",
    show_default="BYTELOG_THREADS, or 8",
    type=click.IntRange(*RANGES["BYTELOG_THREADS"]),
    help="Maximum number of long listings sent at the same time.",
)
@click.option("--prefix", default="", help="Path under which a proxy serves bytelog.")
@click.option("--access-log", is_flag=True, help="Log one line per request.")
@with_service
def serve(
    service: Flask,
    host: str | None,
    port: int | None,
    threads: int | None,
    prefix: str,
    access_log: bool,
) -> None:
    """Serve the API until Ctrl-C or SIGTERM."""
    set_up_logging()
    if access_log:
        service.wsgi_app = AccessLog(service.wsgi_app)  # type: ignore[method-assign]
    backend_of(db.engine).maintenance.restore_reserve()
    intake.init_server(service)
    config = service.config
    Server(
        service,
        host or config["BYTELOG_HOST"],
        config["BYTELOG_PORT"] if port is None else port,
        threads or config["BYTELOG_THREADS"],
        prefix,
    ).run()
