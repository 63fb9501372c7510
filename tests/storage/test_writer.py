from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event
from support.api import CLICK, EVENTS, Person

from bytelog.storage.backend import Row
from bytelog.storage.batched_requests import BatchedRequest, yield_to_batch
from bytelog.storage.database import db
from bytelog.storage.errors import StorageBusy
from bytelog.storage.writer import current_writer

ROW: Row = (1, 1, "click", "03775690", "2021-08-15T23:41:41.507Z", "{}")


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    seen: list[str] = []

    def listen(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(seen.append)

    with app.app_context():
        event.listen(db.engine, "connect", listen)
        yield seen


def inserts(statements: list[str]) -> list[int]:
    """Return how many events each statement inserted."""
    return [text.count("'click'") for text in statements if "INTO event (" in text]


def test_requests_that_share_a_thread_share_a_commit(app: Flask, statements: list[str]) -> None:
    writer = current_writer()
    requests = [BatchedRequest(lambda: writer.append([ROW])) for _ in range(5)]
    for request in requests:
        request.switch()
    assert inserts(statements) == []
    for request in requests:
        request.switch()
    assert all(request.dead for request in requests)
    assert inserts(statements) == [5]


def test_threads_that_wait_for_a_commit_share_the_next_one(
    app: Flask, statements: list[str]
) -> None:
    writer = current_writer()
    threads = [threading.Thread(target=writer.append, args=([ROW],)) for _ in range(20)]
    with writer.transaction():
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert sum(inserts(statements)) == 20
    assert len(inserts(statements)) <= 2


def test_a_yield_outside_a_batched_request_returns_at_once() -> None:
    yield_to_batch()


def test_every_request_of_a_failed_commit_gets_the_error(app: Flask) -> None:
    with app.app_context():
        writer = current_writer()
        other = sqlite3.connect(str(db.engine.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        errors: list[Exception] = []

        def append() -> None:
            try:
                writer.append([ROW])
            except StorageBusy as error:
                errors.append(error)

        requests = [BatchedRequest(append) for _ in range(3)]
        for _ in range(2):
            for request in requests:
                request.switch()
        assert len(errors) == 3
        other.execute("ROLLBACK")
        other.close()
        writer.append([ROW])


def test_a_post_waits_for_another_program_and_then_gets_503(app: Flask, alice: Person) -> None:
    with app.app_context():
        path = str(db.engine.url.database)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = alice.post(CLICK)
    assert (response.status_code, response.json) == (503, {"error": "service unavailable"})
    assert response.headers["Retry-After"] == "1"
    other.execute("ROLLBACK")
    other.close()
    assert alice.post(CLICK).status_code == 201
    assert alice.events() == [CLICK]


def test_the_sqlite3_shell_can_read_the_file(app: Flask, alice: Person) -> None:
    alice.post(CLICK)
    with app.app_context():
        path = Path(str(db.engine.url.database))
    shell = sqlite3.connect(path)
    row = shell.execute("SELECT id, name, trace_id, date, data FROM event").fetchone()
    shell.close()
    assert row == (1, "click", "03775690", CLICK["date"], '{"clicked_on":"sign up button"}')


@pytest.mark.usefixtures("commits_wait_for_the_disk")
def test_each_connection_syncs_its_commits_and_readers_cannot_write(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as reader:
        settings = {
            name: reader.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 0, "query_only": 1}


def test_an_application_with_a_database_in_memory_works() -> None:
    from bytelog import create_app

    app = create_app({"BYTELOG_DATABASE_URL": "sqlite://", "BYTELOG_API_KEY": "k"})
    client, headers = app.test_client(), {"Authorization": "Bearer k"}
    assert client.post(EVENTS, json=CLICK, headers=headers).status_code == 201
    assert client.get(EVENTS, headers=headers).json == {"count": 1, "events": [CLICK]}
