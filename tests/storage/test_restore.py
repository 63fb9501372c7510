from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from benchmarks.cluster import Cluster
from sqlalchemy import create_engine
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from support.server import Server

from bytelog import create_app
from bytelog.storage.database import db
from bytelog.testing import KEY


def batch(first: int, last: int) -> list[dict[str, object]]:
    return [{**CLICK, "id": number} for number in range(first, last + 1)]


def post(server: Server, first: int, last: int) -> None:
    assert server.request(EVENTS, json.dumps(batch(first, last)).encode()).status == 201


def next_page(server: Server, query: str) -> str:
    link = server.request(EVENTS + query).headers["Link"]
    return link.partition("<")[2].partition(">")[0]


def ids(server: Server, query: str) -> list[int]:
    response = server.request(EVENTS + query)
    assert response.status == 200, response.body
    return [event["id"] for event in json.loads(response.body)["events"]]


@pytest.mark.parametrize("way", ["backup", "copy by hand"])
def test_a_cursor_of_lost_events_is_refused_after_a_restore(
    serve: Callable[..., Server], tmp_path: Path, way: str
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key)
    data, copy = server.folder / "data", tmp_path / "copy.db"
    post(server, 1, 10)
    if way == "backup":
        Bytelog(data).run("backup", copy)
    else:
        assert server.stop() == 0
        shutil.copy(data / "bytelog.db", copy)
        server.start()
    early = next_page(server, "?order=arrival&limit=8")
    post(server, 11, 20)
    lost = [
        next_page(server, "?order=arrival"),
        next_page(server, "?order=arrival&limit=15"),
        next_page(server, "?limit=15"),
        next_page(server, "?order=newest&limit=5"),
    ]
    assert ids(server, lost[1]) == [16, 17, 18, 19, 20]
    assert server.stop() == 0
    for ending in ("", "-wal", "-shm"):
        (data / f"bytelog.db{ending}").unlink(missing_ok=True)
    shutil.copy(copy, data / "bytelog.db")
    server.start()
    post(server, 21, 32)
    for query in lost:
        response = server.request(EVENTS + query, Accept="application/problem+json")
        assert response.status == 410
        assert "backup was restored" in json.loads(response.body)["detail"]
    assert ids(server, early) == [9, 10, *range(21, 27)]


def test_a_cursor_of_lost_events_is_refused_after_a_restore_of_postgresql(
    own_database: str,
    shared_cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_app() -> Person:
        app = create_app({"BYTELOG_API_KEY": KEY}, tmp_path)
        return Person(app.test_client(), KEY)

    def close(person: Person) -> None:
        with person.client.application.app_context():
            person.client.application.extensions["bytelog.writer"].close()
            db.engine.dispose()

    first = open_app()
    first.post(batch(1, 10))
    close(first)
    shared_cluster.sql(f"CREATE DATABASE saved TEMPLATE {own_database} STRATEGY file_copy")
    second = open_app()
    second.post(batch(11, 20))
    link = second.get("?order=arrival").headers["Link"]
    close(second)
    monkeypatch.setenv("BYTELOG_DATABASE_URL", shared_cluster.url("saved"))
    restored = open_app()
    restored.post(batch(21, 32))
    assert restored.get(link.partition("<")[2].partition(">")[0]).status_code == 410
    close(restored)
    shared_cluster.sql("DROP DATABASE saved")


def test_cursors_of_the_first_release_stay_valid_unless_their_events_are_lost(
    tmp_path: Path,
) -> None:
    config = Config()
    config.set_main_option("script_location", "bytelog:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{tmp_path / 'bytelog.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for number in (1, 2, 3):
            connection.exec_driver_sql(
                "INSERT INTO event (project_id, id, name, trace_id, date, data)"
                " VALUES (1, ?, 'click', 't', '2021-08-15T23:41:41.507Z', '{}')",
                (number,),
            )
    engine.dispose()
    person = Person(create_app({"BYTELOG_API_KEY": KEY}, tmp_path).test_client(), KEY)
    person.post(batch(4, 6))
    dated = "2-20210815T234141507"
    for cursor, order in (("2", "arrival"), (dated, "arrival"), (dated, "date")):
        events = person.events(f"?order={order}&cursor={cursor}")
        assert [event["id"] for event in events] == [3, 4, 5, 6]
    assert person.get("?order=arrival&cursor=5").status_code == 410
    link = person.get("?order=arrival&limit=3").headers["Link"]
    assert re.search(r"cursor=k[0-9a-f]{16}>", link)
    assert re.search(
        r"cursor=k[0-9a-f]{16}-[a-z]{8}>", person.get("?order=arrival").headers["Link"]
    )
