from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.listings import MANY, fill, memory, read_to_the_end, start_listing
from support.server import Server, wait_for

from bytelog import create_app
from bytelog.config import PAGE_BYTES
from bytelog.queries.pages import PAGE_EVENTS
from bytelog.storage.errors import StorageError
from bytelog.storage.sqlite_connection import driver
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database


@pytest.fixture
def full_server(serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key, events=MANY)


@pytest.mark.slow
def test_a_long_listing_takes_no_more_memory_than_a_short_one(full_server: Server) -> None:
    full_server.request(f"{EVENTS}?end=2021-08-15T00:00:01Z")
    before = memory(full_server)
    response = full_server.request(EVENTS)
    assert json.loads(response.body)["count"] == MANY
    assert len(response.body) > 19_000_000
    assert memory(full_server) - before < 16 * 1024


@pytest.mark.slow
@pytest.mark.sqlite_file
def test_a_slow_reader_blocks_neither_writers_nor_the_checkpoint(full_server: Server) -> None:
    log = full_server.folder / "data" / "bytelog.db-wal"
    body = json.dumps({**CLICK, "data": {"text": "x" * 100_000}}).encode()
    with start_listing(full_server):
        for _ in range(200):
            assert full_server.request(EVENTS, body).status == 201
        # A reader that blocked checkpoints would keep all 20 MB in the log.
        assert log.stat().st_size < 10_000_000


def test_a_listing_contains_only_events_stored_before_its_start(full_server: Server) -> None:
    with start_listing(full_server) as peer:
        late = {**CLICK, "date": "2021-08-15T00:00:58Z"}  # a date that the listing has not reached
        assert full_server.request(EVENTS, json.dumps(late).encode()).status == 201
        received = b"".join(iter(lambda: peer.recv(1_000_000), b""))
    assert b"sign up button" not in received
    assert received.endswith(b"]}\r\n0\r\n\r\n")


@pytest.mark.slow
def test_a_client_that_disconnects_frees_its_thread(serve: Callable[..., Server]) -> None:
    server = serve("--threads", "1", BYTELOG_API_KEY=Server.key, events=MANY)
    for _ in range(5):
        start_listing(server).close()
        wait_for(lambda: server.request(EVENTS).status == 200)


def test_a_listing_is_refused_when_all_slots_are_taken(serve: Callable[..., Server]) -> None:
    server = serve("--threads", "2", BYTELOG_API_KEY=Server.key, events=MANY)
    with start_listing(server), start_listing(server):
        response = server.request(EVENTS)
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert server.request("/healthz").status == 200
        assert server.request(f"{EVENTS}/trace/unknown").status == 200
    wait_for(lambda: server.request(EVENTS).status == 200)


def test_a_failure_during_a_listing_breaks_the_connection(full_server: Server) -> None:
    with start_listing(full_server) as peer:
        app = create_app(instance_path=full_server.folder / "data")
        with app.app_context(), current_writer().transaction() as connection:
            connection.exec_driver_sql("DELETE FROM event WHERE id > 50000")
        with pytest.raises(ConnectionResetError):
            read_to_the_end(peer)


def test_a_failure_before_the_first_page_gets_503(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(app, PAGE_EVENTS * 3)
    app.config["BYTELOG_API_KEY"] = "k"

    def fail(*_: object) -> None:
        raise StorageError("broken")

    monkeypatch.setattr("bytelog.storage.reader.Reader.fetch", fail)
    response = app.test_client().get(EVENTS, headers={"Authorization": "Bearer k"})
    assert response.status_code == 503
    assert response.json == {"error": "service unavailable"}


@pytest.mark.sqlite_file
def test_an_event_too_long_for_a_page_is_an_error_and_not_an_endless_listing(
    app: Flask, alice: Person
) -> None:
    for id_ in range(3):
        assert alice.post({**CLICK, "id": id_}).status_code == 201
    with app.app_context(), current_writer().exclusive_connection() as connection:
        driver(connection).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * PAGE_BYTES)
        long = f'{{"a":"{"x" * PAGE_BYTES}"}}'
        connection.exec_driver_sql("UPDATE event SET data = ? WHERE id = 1", (long,))
    assert alice.get().status_code == 503
