"""`bytelog serve`."""

from __future__ import annotations

import click
from flask import Flask

from ..config import READER_THREADS
from ..server.server import AccessLog, Server, set_up_logging
from .options import with_service


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for any free port.",
)
@click.option(
    "--threads",
    default=READER_THREADS,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Maximum number of long listings sent at the same time.",
)
@click.option("--prefix", default="", help="Path under which a proxy serves bytelog.")
@click.option("--access-log", is_flag=True, help="Log one line per request.")
@with_service
def serve(
    service: Flask, host: str, port: int, threads: int, prefix: str, access_log: bool
) -> None:
    """Serve the API until Ctrl-C or SIGTERM."""
    set_up_logging()
    if access_log:
        service.wsgi_app = AccessLog(service.wsgi_app)  # type: ignore[method-assign]
    Server(service, host, port, threads, prefix).run()
