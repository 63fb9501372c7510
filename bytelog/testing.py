"""bytelog in another application's tests: `pytest_plugins = ["bytelog.testing"]` in conftest.py."""

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
    """A server with a database of its own: where it listens, a key for it, and what it has."""

    url: str
    key: str
    log: Bytelog

    def events(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the events that were recorded, or those that `Bytelog.events` selects."""
        return list(self.log.events(**parameters))


class _Handler(WSGIRequestHandler):
    timeout = STOP_SECONDS

    def log(self, *_: Any) -> None:
        """Say nothing: what a test prints is its own."""


@pytest.fixture
def bytelog_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BytelogServer]:
    """Run a real server on loopback, empty and as settings are unless set, until the test ends."""
    service = create_app(
        {**dict.fromkeys(SETTINGS), "BYTELOG_API_KEY": KEY}, tmp_path_factory.mktemp("bytelog")
    )
    server = ThreadedWSGIServer("127.0.0.1", 0, service, _Handler)
    # Its end waits for the requests in hand, which use the database.
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    log = Bytelog(service)
    yield BytelogServer(f"http://127.0.0.1:{server.port}", KEY, log)
    service.extensions["bytelog.writer"].stop()
    server.shutdown()
    thread.join()
    log.close()
