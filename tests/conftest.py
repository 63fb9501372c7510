"""The world of the tests: Alice keeps a shop, Bob a bank, and each has a project and a key."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask, appcontext_pushed
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.auth import keys

pytest_plugins = ["browser", "explorer", "postgresql"]

EVENTS = "/api/v1/events"
CLICK: dict[str, Any] = {
    "id": 1,
    "name": "click",
    "trace_id": "03775690",
    "date": "2021-08-15T23:41:41.507Z",
    "data": {"clicked_on": "sign up button"},
}
LONG = "LONG" in os.environ
"""Whether the tests that are marked `long` take their time."""


class Person:
    """Somebody with a key, at an application's HTTP interface."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {key}"}

    def post(self, body: object, **changes: Any) -> TestResponse:
        arguments: dict[str, Any] = {"headers": self.headers, **changes}
        if isinstance(body, bytes):
            return self.client.post(EVENTS, data=body, content_type="application/json", **arguments)
        return self.client.post(EVENTS, json=body, **arguments)

    def get(self, query: str = "", **headers: str) -> TestResponse:
        return self.client.get(EVENTS + query, headers={**self.headers, **headers})

    def events(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.get(query)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        assert answer.json["count"] == len(answer.json["events"])
        return list(answer.json["events"])


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BYTELOG_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def new_applications() -> Iterator[list[Flask]]:
    known: set[Flask] = set()
    new: list[Flask] = []

    def note(application: Flask, **_: Any) -> None:
        if application not in known:
            known.add(application)
            new.append(application)

    with appcontext_pushed.connected_to(note):
        yield new


@pytest.fixture(autouse=True)
def no_connection_stays_open(new_applications: list[Flask]) -> Iterator[None]:
    new_applications.clear()
    yield
    for application in new_applications:
        close(application)


def close(application: Flask) -> None:
    writer = vars(application.extensions.get("bytelog.writer", object))
    if "_connection" in writer and not writer["_connection"].closed:
        application.extensions["bytelog.writer"].close()
    if database := application.extensions.get("sqlalchemy"):
        with application.app_context():
            for engine in database.engines.values():
                engine.dispose()


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True}, tmp_path / "instance")


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    def meet(name: str, project: str, **changes: Any) -> Person:
        with app.app_context():
            return Person(app.test_client(), keys.create(name, project, **changes))

    return meet


@pytest.fixture
def alice(person: Callable[..., Person]) -> Person:
    return person("alice", "shop")


@pytest.fixture
def bob(person: Callable[..., Person]) -> Person:
    return person("bob", "bank")


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Server:
    """A real `bytelog serve`, on a port of its own."""

    key = "example_api_key"
    program: Sequence[str | Path] = (sys.executable, "-m", "bytelog")

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        self.arguments = ("--port", "0", *arguments)
        self.environment = {"BYTELOG_DATA": str(folder / "data"), **environment}
        self.start()

    def start(self) -> None:
        command = [*self.program, "serve", *self.arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | self.environment, stdout=log, stderr=log
            )
        wait_for(
            lambda: "listens on http" in self.log.read_text() or self.process.poll() is not None
        )
        assert self.process.poll() is None, self.log.read_text()
        self.url = self.log.read_text().split("listens on ")[1].split()[0]
        wait_for(lambda: self.request("/healthz").status == 200)

    def request(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), 20) as peer:
            peer.sendall(request)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)


@pytest.fixture(scope="session")
def executable(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """The executable, built by the first of the processes that run tests."""
    build = Path(__file__).parent.parent / "deploy" / "build.sh"
    folder = tmp_path_factory.getbasetemp().parent / f"dist-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "bytelog").exists():
            subprocess.run([build, folder], check=True, capture_output=True)
    return folder / "bytelog"


@pytest.fixture
def serve(tmp_path: Path, database: str) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str, **environment: str) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, *arguments, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} seconds")


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 20)
