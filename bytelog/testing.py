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
from .queries.path_changes import Change, compare
from .queries.paths import Paths

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

    def paths(self, **parameters: Any) -> Paths:
        """Return what follows what; takes the parameters of `Bytelog.paths`."""
        return self.log.paths(**parameters)

    def assert_same_paths(self, expected: Paths, **parameters: Any) -> None:
        """Fail if a transition is new, gone, slower or rarer than in paths returned before.

        These may come from a file: they are a JSON object. The rules are those of
        `GET /api/v1/events/paths/diff`.
        """
        changes = compare(self.paths(**parameters), expected)
        kinds = {
            "new": changes["new"],
            "gone": changes["gone"],
            "slower": changes["slower"],
            "rarer": changes["rarer"],
        }
        lines = [
            f"{kind}: {_describe(change)}" for kind, found in kinds.items() for change in found
        ]
        if lines:
            pytest.fail("\n".join(["the paths changed:", *lines]), pytrace=False)


def _describe(change: Change) -> str:
    now = _describe_cases(change["count"], change["median_seconds"])
    then = _describe_cases(change["against_count"], change["against_median_seconds"])
    return f"{change['from']} → {change['to']}: {now}, expected {then}"


def _describe_cases(count: int, seconds: float | None) -> str:
    return "never" if seconds is None else f"{count} in a median of {seconds:g} s"


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
    service.extensions["bytelog.writer"].commits.stop_waiting()
    server.shutdown()
    thread.join()
    log.close()
