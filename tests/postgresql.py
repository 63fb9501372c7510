"""Real PostgreSQL servers, each in a folder of its own, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"))
# PostgreSQL does not run as root.
USER: dict[str, Any] = (
    {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "logging_collector": "off",
}


class Cluster:
    """A PostgreSQL server, with its files."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {**SETTINGS, "unix_socket_directories": str(folder), **settings}
        self.port = free_port()

    def create(self) -> Cluster:
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "postgres"]
        self.run("initdb", "-D", str(self.folder / "data"), *options)
        return self

    def copy(self, folder: Path, name: str) -> Cluster:
        """Make a replica, which streams from this server under a name."""
        own = {"unix_socket_directories": str(folder), "synchronous_standby_names": ""}
        replica = Cluster(folder, **self.settings | own)
        source = f"host=127.0.0.1 port={self.port} user=postgres application_name={name}"
        self.run("pg_basebackup", "-D", str(folder / "data"), "-d", source, "-R", "-c", "fast")
        return replica

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run([BIN / program, *arguments], check=True, capture_output=True, **USER)

    def start(self) -> Cluster:
        settings = [it for name, value in self.settings.items() for it in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [BIN / "postgres", "-D", self.folder / "data", "-p", str(self.port), *settings],
                stdout=log,
                stderr=log,
                **USER,
            )
        # Answers once it takes connections; with -w pg_ctl would have to start it itself.
        while subprocess.run(
            [BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        ).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
        return self

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def kill(self) -> None:
        """End all processes of the server at once, as a power cut does."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for number in [self.process.pid, *map(int, children.split())]:
            os.kill(number, signal.SIGKILL)
        self.process.wait(20)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[Callable[[], Path]]:
    """Make folders that PostgreSQL's user can reach, unlike pytest's."""
    made: list[Path] = []

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="bytelog-postgresql-"))
        if USER:
            shutil.chown(folder, "postgres", "postgres")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_cluster(cluster_folder: Callable[[], Path]) -> Iterator[Cluster]:
    """A server for tests that ask nothing of its disk, which would make them slow."""
    cluster = Cluster(cluster_folder(), fsync="off").create().start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def new_database(shared_cluster: Cluster) -> Callable[[], str]:
    """Make an empty database of bytelog's, and return its name."""
    from bytelog import create_app
    from bytelog.db import db

    shared_cluster.sql("CREATE DATABASE bytelog")
    with tempfile.TemporaryDirectory() as folder:
        url = shared_cluster.url("bytelog")
        app = create_app({"BYTELOG_DATABASE_URL": url}, folder)
        with app.app_context():
            db.engine.dispose()
    numbers = count()

    def make() -> str:
        name = f"test{next(numbers)}"
        shared_cluster.sql(f"CREATE DATABASE {name} TEMPLATE bytelog STRATEGY file_copy")
        return name

    return make


@pytest.fixture
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have bytelog use one kind of database or the other, in tests marked `each_database`."""
    kind: str = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        yield kind
        return
    cluster: Cluster = request.getfixturevalue("shared_cluster")
    name = request.getfixturevalue("new_database")()
    monkeypatch.setenv("BYTELOG_DATABASE_URL", cluster.url(name))
    yield kind
    cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    test = metafunc.definition
    if test.get_closest_marker("each_database") and not test.get_closest_marker("sqlite_file"):
        metafunc.fixturenames.append("database")
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)
