"""A pytest plugin for applications: `pytest_plugins = ["bytelog.testing"]` in conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from . import Bytelog, create_app
from .config import SETTINGS, STOP_SECONDS

KEY = "example_api_key"


@dataclass(frozen=True, slots=True)
class BytelogServer:
    """A running server with its own database: its URL, a key, and its events."""

    url: str
    key: str
    log: Bytelog

    def events(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the recorded events; takes the parameters of `Bytelog.events`."""
        return list(self.log.events(**parameters))


class _Handler(WSGIRequestHandler):
    timeout = STOP_SECONDS

    def log(self, *_: Any) -> None:
        """Log nothing, so that the output of a test is its own."""


@pytest.fixture
def bytelog_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BytelogServer]:
    """Run a server on loopback, with an empty database and default settings, for one test."""
    service = create_app(
        {**dict.fromkeys(SETTINGS), "BYTELOG_API_KEY": KEY}, tmp_path_factory.mktemp("bytelog")
    )
    server = ThreadedWSGIServer("127.0.0.1", 0, service, _Handler)
    # Closing the server then waits for requests in progress, which use the database.
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    log = Bytelog(service)
    yield BytelogServer(f"http://127.0.0.1:{server.port}", KEY, log)
    service.extensions["bytelog.writer"].stop()
    server.shutdown()
    thread.join()
    log.close()
