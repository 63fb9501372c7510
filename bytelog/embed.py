"""bytelog inside another Flask application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from .cli import keys_group

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API = "/api/v1/events"


def init_app(app: Flask, service: Flask) -> None:
    """Put bytelog's application into a host, with its command `keys` if the host has none."""
    app.extensions["bytelog"] = service
    app.wsgi_app = Embedded(app.wsgi_app, service)  # type: ignore[method-assign]
    if keys_group.name not in app.cli.commands:
        app.cli.add_command(keys_group)


class Embedded:
    """WSGI middleware that hands the API's requests to bytelog and all others to the host.

    bytelog stays an application of its own, so that the host's routes, error pages, request
    hooks and database do not meet it.
    """

    def __init__(self, host: WSGIApplication, service: Flask) -> None:
        self._host = host
        self._service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        is_api = f"{environ.get('PATH_INFO', '')}/".startswith(f"{API}/")
        return (self._service if is_api else self._host)(environ, start_response)
