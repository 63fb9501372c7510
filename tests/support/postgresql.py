"""PostgreSQL in tests: servers of their own, and databases of bytelog's in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from benchmarks.cluster import USER, Cluster

from support.programs import require


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[Callable[[], Path]]:
    """Make folders that PostgreSQL's user can reach, unlike pytest's."""
    require("initdb")
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
    from bytelog.storage.database import db

    shared_cluster.sql("CREATE DATABASE empty")
    with tempfile.TemporaryDirectory() as folder:
        url = shared_cluster.url("empty")
        app = create_app({"BYTELOG_DATABASE_URL": url}, folder)
        with app.app_context():
            db.engine.dispose()
    numbers = count()

    def make() -> str:
        name = f"test{next(numbers)}"
        shared_cluster.sql(f"CREATE DATABASE {name} TEMPLATE empty STRATEGY file_copy")
        return name

    return make


@pytest.fixture
def own_database(
    new_database: Callable[[], str], shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Have bytelog use an empty database of PostgreSQL; gives its name."""
    name = new_database()
    monkeypatch.setenv("BYTELOG_DATABASE_URL", shared_cluster.url(name))
    yield name
    shared_cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Have bytelog use one kind of database or the other, in tests marked `each_database`."""
    kind: str = getattr(request, "param", "sqlite")
    if kind == "postgresql":
        request.getfixturevalue("own_database")
    return kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "each_database" in marks and not marks & {"sqlite_file", "before_database"}:
        metafunc.fixturenames.append("database")
        postgresql = pytest.param("postgresql", marks=pytest.mark.postgresql)
        metafunc.parametrize("database", ["sqlite", postgresql], indirect=True)
