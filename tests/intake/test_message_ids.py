from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import Person
from support.server import wait_for
from werkzeug.test import TestResponse

from bytelog import create_app, timestamps
from bytelog.storage.batched_requests import BatchedRequest
from bytelog.storage.message_ids import key_of
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "segment"}, tmp_path / "instance")


def post(person: Person, *ids: str | None, **changes: Any) -> TestResponse:
    batch = [
        {"type": "track", "event": "click", "userId": "u", **({"messageId": id_} if id_ else {})}
        for id_ in ids
    ]
    arguments = {"json": {"batch": batch, **changes}, "headers": person.headers}
    return person.client.post("/v1/batch", **arguments)


def test_of_a_repeated_batch_only_the_new_messages_are_stored(alice: Person) -> None:
    assert post(alice, "a", "b").status_code == 200
    assert post(alice, "b", "c", "a", sentAt="later").status_code == 200
    assert post(alice, "c").status_code == 200
    assert [event["data"]["messageId"] for event in alice.events()] == ["a", "b", "c"]


def test_a_batch_that_repeats_a_message_stores_the_first_one(alice: Person) -> None:
    post(alice, "a", "b", "a")
    assert [event["data"]["messageId"] for event in alice.events()] == ["a", "b"]


def test_messages_without_an_id_are_always_stored_with_different_ids(alice: Person) -> None:
    for _ in range(2):
        post(alice, None, "a", None)
    assert len({event["id"] for event in alice.events()}) == len(alice.events()) == 5


def test_projects_do_not_share_message_ids(alice: Person, bob: Person) -> None:
    post(alice, "a")
    post(bob, "a")
    assert len(bob.events()) == 1


def test_an_idempotency_key_is_never_taken_for_a_message_id(alice: Person) -> None:
    headers = {**alice.headers, "Idempotency-Key": key_of("segment", "a").replace("\t", " ")}
    event = {"id": 1, "name": "n", "trace_id": "t"}
    assert alice.post(event, headers={**headers}).status_code == 400
    post(alice, "a")
    assert len(alice.events()) == 1


def test_a_message_id_expires_after_a_day(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    post(alice, "a", "b")
    now = timestamps.now()
    monkeypatch.setattr(timestamps, "now", lambda: now + timedelta(hours=23, minutes=59))
    post(alice, "a")
    assert len(alice.events()) == 2
    post(alice, *map(str, range(5)))
    monkeypatch.setattr(timestamps, "now", lambda: now + timedelta(hours=24, minutes=1))
    post(alice, "0", "a", "b")
    assert len(alice.events()) == 9


def test_a_repetition_during_the_first_request_stores_nothing_and_succeeds(
    app: Flask, alice: Person
) -> None:
    responses: list[TestResponse] = []
    requests = [
        threading.Thread(target=lambda: responses.append(post(alice, "a", "b"))) for _ in range(2)
    ]
    with app.app_context():
        writer = current_writer()
    with writer.transaction():
        for request in requests:
            request.start()
        wait_for(lambda: len(writer._queue) == 2)  # noqa: SLF001
    for request in requests:
        request.join()
    assert [response.status_code for response in responses] == [200, 200]
    assert len(alice.events()) == 2


def test_messages_and_plain_events_of_one_commit_are_stored_in_order(app: Flask) -> None:
    row = (1, 1, "click", "t", "2021-08-15T23:41:41.507Z", "{}")
    with app.app_context():
        writer = current_writer()
    requests = [
        BatchedRequest(lambda: writer.append([row, row], message_keys=["a\tx", None])),
        BatchedRequest(lambda: writer.append([row])),
        BatchedRequest(lambda: writer.append([row, row], message_keys=["a\tx", "a\ty"])),
    ]
    for _ in range(2):
        for request in requests:
            request.switch()
    with writer.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event").scalar() == 4
