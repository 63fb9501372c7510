"""Fixtures of all tests: Alice has a key of the project shop, Bob one of the project bank."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, appcontext_pushed
from hypothesis import HealthCheck, settings
from support.api import Person, close
from support.listings import copy_filled, fill
from support.processes import FORK_SERVER
from support.server import Server

from bytelog import create_app
from bytelog.auth import keys
from bytelog.storage.sqlite_connection import PRAGMAS

pytest_plugins = [
    "support.browser",
    "support.disk",
    "support.executable",
    "support.explorer_page",
    "support.newcomers",
    "support.postgresql",
    "support.recording",
]

settings.register_profile(
    "quick",
    settings(),
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=200)
settings.load_profile("quick")

MARKS = {"browser": "browser", "cluster_folder": "postgresql", "executable": "build"}
"""Fixtures that need a program, and the marks of the tests that use them."""

LONG_FOLDERS = {"storage", "system", "web"}
"""Folders with files of tests that take a minute and longer."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    # Starting workers takes longer than a few tests that were named. Tests wait for servers, which
    # wait for the disk, so four workers keep two processors busy.
    return 0 if config.args_source is config.ArgsSource.ARGS else 4


def pytest_configure(config: pytest.Config) -> None:
    """Run a test that the command line names regardless of its marks."""
    arguments = config.invocation_params.args
    if "-m" not in arguments and any("::" in str(argument) for argument in arguments):
        config.option.markexpr = ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in MARKS.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(MARKS[name])
    # No worker should begin the longest files when the others are done.
    items.sort(key=lambda item: item.path.parent.name not in LONG_FOLDERS)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BYTELOG_")]:
        monkeypatch.delenv(name)


SYNCHRONOUS = PRAGMAS["synchronous"]


@pytest.fixture(autouse=True, scope="session")
def no_commit_waits_for_the_disk() -> Iterator[None]:
    """Turn off disk syncs of applications in this process, but not of servers and commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRAGMAS, "synchronous", "OFF")
        yield


@pytest.fixture(autouse=True, scope="session")
def no_command_lowers_the_priority_of_tests() -> Iterator[None]:
    """Keep the priority of this process, which some commands lower, but not of other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "nice", lambda _: 0)
        yield


@pytest.fixture
def commits_wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRAGMAS, "synchronous", SYNCHRONOUS)


@pytest.fixture(autouse=True, scope="session")
def no_fork_server_stays() -> Iterator[None]:
    yield
    FORK_SERVER.stop()


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


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True}, tmp_path / "instance")


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    def create_person(name: str, project: str, **changes: Any) -> Person:
        with app.app_context():
            return Person(app.test_client(), keys.create(name, project, **changes))

    return create_person


@pytest.fixture
def alice(person: Callable[..., Person]) -> Person:
    return person("alice", "shop")


@pytest.fixture
def bob(person: Callable[..., Person]) -> Person:
    return person("bob", "bank")


@pytest.fixture
def serve(tmp_path: Path, database: str) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str, events: int = 0, **environment: str) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        if events and database == "sqlite":
            copy_filled(folder / "data", events)
        servers.append(Server(folder, *arguments, **environment))
        if events and database == "postgresql":
            fill(create_app(instance_path=folder / "data"), events)
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
        # pytest keeps folders for days; the reserve of each server takes 16 MiB.
        reserve = Path(server.environment["BYTELOG_DATA"]) / "bytelog.db-reserve"
        reserve.unlink(missing_ok=True)
        print(server.log.read_text()[-5000:])  # noqa: T201  # pytest shows it if the test fails


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key)
