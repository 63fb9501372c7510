from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, insert, select
from support.api import CLICK, EVENTS, Person
from support.dying_server import post_to_dying_server
from support.server import Server, wait_for
from werkzeug.test import TestResponse

from bytelog import create_app, timestamps
from bytelog.auth import projects
from bytelog.storage.batched_requests import BatchedRequest
from bytelog.storage.database import db, fetch
from bytelog.storage.idempotency import IdempotencyKeyReused, IdempotencyToken
from bytelog.storage.models import IdempotencyKey
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database


def post(person: Person, key: str, **changes: object) -> TestResponse:
    headers = {**person.headers, "Idempotency-Key": key}
    return person.post({**CLICK, **changes}, headers=headers)


def test_a_repeated_request_gets_the_same_response_and_stores_nothing(alice: Person) -> None:
    for _ in range(3):
        response = post(alice, '"8e03978e-40d5-43dd"')
        assert (response.status_code, response.data) == (201, b"")
    assert alice.events() == [CLICK]


def test_a_key_may_be_quoted_or_not(alice: Person) -> None:
    assert post(alice, '"8e03978e"').status_code == 201
    assert post(alice, "8e03978e").status_code == 201
    assert len(alice.events()) == 1


def test_a_key_with_another_body_gets_422_and_stores_nothing(alice: Person) -> None:
    post(alice, "a")
    response = post(alice, "a", id=2)
    assert (response.status_code, response.json) == (422, {"error": "unprocessable entity"})
    assert alice.events() == [CLICK]


def test_another_key_stores_an_equal_event_again(alice: Person) -> None:
    post(alice, "a")
    post(alice, "b")
    assert alice.events() == [CLICK, CLICK]


def test_a_key_can_be_reused_after_a_rejected_body(alice: Person) -> None:
    assert post(alice, "a", name="").status_code == 400
    assert post(alice, "a").status_code == 201


def test_projects_do_not_share_keys(alice: Person, bob: Person) -> None:
    post(alice, "a")
    assert post(bob, "a", id=2).status_code == 201
    assert len(bob.events()) == 1


@pytest.mark.before_database
@pytest.mark.parametrize("key", ["", '""', "a b", '"a', "é", "k" * 256])
def test_a_malformed_key_gets_400_and_stores_nothing(alice: Person, key: str) -> None:
    headers = {**alice.headers, "Idempotency-Key": key, "Accept": "application/problem+json"}
    response = alice.post(CLICK, headers=headers)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["errors"][0]["header"] == "Idempotency-Key"
    assert alice.events() == []


def test_a_repetition_gets_409_while_the_first_request_is_in_flight(
    app: Flask, alice: Person
) -> None:
    responses: list[TestResponse] = []
    first = threading.Thread(target=lambda: responses.append(post(alice, "a")))
    with app.app_context():
        writer = current_writer()
    with writer.transaction():
        first.start()
        wait_for(lambda: writer._in_flight)  # noqa: SLF001
        second = post(alice, "a")
    first.join()
    assert (second.status_code, second.json) == (409, {"error": "conflict"})
    assert responses[0].status_code == 201
    assert alice.events() == [CLICK]


def test_a_key_expires_after_a_day(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    post(alice, "a")
    now = timestamps.now()
    monkeypatch.setattr(timestamps, "now", lambda: now + timedelta(hours=23, minutes=59))
    post(alice, "a")
    assert len(alice.events()) == 1
    post(alice, "b", id=1)
    monkeypatch.setattr(timestamps, "now", lambda: now + timedelta(hours=24, minutes=1))
    assert post(alice, "a", id=2).status_code == 201
    assert [event["id"] for event in alice.events()] == [1, 1, 2]


def test_a_clock_that_is_ahead_expires_no_key(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(alice, "a")
    now = timestamps.now()
    monkeypatch.setattr(timestamps, "now", lambda: now + timedelta(days=365 * 12))
    restarted = Person(create_app({}, app.instance_path).test_client(), "")
    restarted.headers = alice.headers
    for _ in range(2):
        post(restarted, "b", id=2)
        post(restarted, "a")
    assert [event["id"] for event in alice.events()] == [1, 2]


def test_a_commit_deletes_only_a_few_of_many_expired_keys(app: Flask, alice: Person) -> None:
    first, step = timestamps.now() - timedelta(hours=25), timedelta(minutes=15)
    with app.app_context(), current_writer().transaction() as connection:
        common = {"project_id": projects.find("shop"), "fingerprint": ""}
        rows = [
            {**common, "key": f"{number:02}", "created": first + number * step}
            for number in range(100)
        ]
        connection.execute(insert(IdempotencyKey), rows)
    assert post(alice, "new").status_code == 201
    with app.app_context():
        oldest = fetch(db.engine, select(func.min(IdempotencyKey.key)))
    assert oldest == [("02",)]
    assert post(alice, "04").status_code == 201  # The key has expired but is not deleted yet.
    assert post(alice, "06").status_code == 422


def test_repeated_and_new_requests_in_one_commit_each_get_their_own_response(
    app: Flask, alice: Person
) -> None:
    row = (1, 1, "click", "t", "2021-08-15T23:41:41.507Z", "{}")
    with app.app_context():
        writer = current_writer()
    writer.append([row], IdempotencyToken(1, "known", "same"))
    new_responses: list[str] = []

    def append(name: str, once: IdempotencyToken | None) -> None:
        try:
            writer.append([row], once)
            new_responses.append(name)
        except IdempotencyKeyReused:
            new_responses.append(f"{name} refused")

    requests = [
        BatchedRequest(lambda: append("repeated", IdempotencyToken(1, "known", "same"))),
        BatchedRequest(lambda: append("plain", None)),
        BatchedRequest(lambda: append("new", IdempotencyToken(1, "new", "same"))),
    ]
    for _ in range(2):
        for request in requests:
            request.switch()
    assert new_responses == ["repeated", "plain", "new"]
    with pytest.raises(IdempotencyKeyReused):
        writer.append([row], IdempotencyToken(1, "new", "other"))
    with writer.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event").scalar() == 3


@pytest.mark.slow
def test_an_event_is_stored_once_when_the_server_is_killed_before_the_response(
    serve: Callable[..., Server],
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key)
    body = json.dumps(CLICK).encode()
    post_to_dying_server(server, body, "a")
    assert json.loads(server.request(EVENTS).body)["count"] == 1
    assert server.request(EVENTS, body, Idempotency_Key="a").status == 201
    assert json.loads(server.request(EVENTS).body) == {"count": 1, "events": [CLICK]}
