"""PostgreSQL servers and databases for tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from benchmarks.cluster import USER, Cluster
from flask import Flask

from support.api import close
from support.programs import require


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[Callable[[], Path]]:
    """Yield a function that creates folders that PostgreSQL's user can access, unlike pytest's."""
    require("initdb")
    folders: list[Path] = []

    def create() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="bytelog-postgresql-"))
        if USER:
            shutil.chown(folder, "postgres", "postgres")
        folders.append(folder)
        return folder

    yield create
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_cluster(cluster_folder: Callable[[], Path]) -> Iterator[Cluster]:
    """Yield a server for tests that need no disk syncs, which are slow."""
    cluster = Cluster(cluster_folder(), fsync="off").create().start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def new_database(shared_cluster: Cluster) -> Callable[[], str]:
    """Return a function that creates an empty database of bytelog and returns its name."""
    from bytelog import create_app
    from bytelog.storage.database import db

    shared_cluster.sql("CREATE DATABASE empty")
    with tempfile.TemporaryDirectory() as folder:
        url = shared_cluster.url("empty")
        app = create_app({"BYTELOG_DATABASE_URL": url}, folder)
        with app.app_context():
            db.engine.dispose()
    numbers = count()

    def create() -> str:
        name = f"test{next(numbers)}"
        shared_cluster.sql(f"CREATE DATABASE {name} TEMPLATE empty STRATEGY file_copy")
        return name

    return create


@pytest.fixture
def own_database(
    new_database: Callable[[], str], shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Set an empty PostgreSQL database for bytelog, and yield its name."""
    name = new_database()
    monkeypatch.setenv("BYTELOG_DATABASE_URL", shared_cluster.url(name))
    yield name
    shared_cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def open_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Flask]]:
    """Yield a function that opens the service of a kind of database that a module's tests share."""
    from bytelog import create_app

    apps: dict[str, Flask] = {}

    def open_(kind: str) -> Flask:
        if kind not in apps:
            settings = {"TESTING": True}
            if kind == "postgresql":
                name = request.getfixturevalue("new_database")()
                url = request.getfixturevalue("shared_cluster").url(name)
                settings |= {"BYTELOG_DATABASE_URL": url}
            apps[kind] = create_app(settings, tmp_path_factory.mktemp(kind))
        return apps[kind]

    yield open_
    for app in apps.values():
        close(app)


@pytest.fixture
def shared_app(
    database: str, open_app: Callable[[str], Flask], new_applications: list[Flask]
) -> Iterator[Flask]:
    """Yield a service that a module's tests share; each uses projects of its own."""
    app = open_app(database)
    yield app
    if app in new_applications:  # It stays open for the next test.
        new_applications.remove(app)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Set the kind of database in tests marked `each_database`, and return it."""
    kind: str = getattr(request, "param", "sqlite")
    if kind == "postgresql" and "shared_app" not in request.fixturenames:
        request.getfixturevalue("own_database")
    return kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "each_database" in marks and not marks & {"sqlite_file", "before_database"}:
        metafunc.fixturenames.append("database")
        postgresql = pytest.param("postgresql", marks=pytest.mark.postgresql)
        metafunc.parametrize("database", ["sqlite", postgresql], indirect=True)
