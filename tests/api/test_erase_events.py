from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from werkzeug.test import TestResponse

from bytelog import Access, create_app
from bytelog.api import erasure as api

pytestmark = pytest.mark.each_database

SECRET = "Lima Street 5"
LARGE = {"user": 7, "text": SECRET * 2000}
EVENTS_OF_USERS = [
    {**CLICK, "id": number, "trace_id": f"trace {number % 3}", "data": {"user": number % 2}}
    for number in range(6)
]


@pytest.fixture
def eraser(person: Callable[..., Person]) -> Person:
    return person("eraser", "shop", scopes=["read", "write", "delete"])


def delete(person: Person, query: str, **headers: str) -> TestResponse:
    return person.client.delete(EVENTS + query, headers={**person.headers, **headers})


def erase(person: Person, query: str) -> object:
    response = delete(person, query)
    assert response.status_code == 200, response.text
    return response.json


def ids(person: Person) -> list[int]:
    return [event["id"] for event in person.events("?order=arrival")]


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("?trace_id=trace+1", [0, 2, 3, 5]),
        ("?trace_id=trace+1&trace_id=trace+2", [0, 3]),
        ("?data.user=1", [0, 2, 4]),
        ('?data."user"[gte]=1&trace_id=trace+1', [0, 2, 3, 4, 5]),
        ("?name[not]=click", [0, 1, 2, 3, 4, 5]),
        ("?q=TRACE+2", [0, 1, 3, 4]),
        ("?name=click&start=2021-08-16", [0, 1, 2, 3, 4, 5]),
        ("?name=click&end=2021-08-16", []),
        ("?id=3", [0, 1, 2, 4, 5]),
    ],
)
def test_the_events_that_match_are_deleted_and_no_others(
    eraser: Person, bob: Person, query: str, rest: list[int]
) -> None:
    assert eraser.post(EVENTS_OF_USERS).status_code == 201
    assert bob.post(EVENTS_OF_USERS).status_code == 201
    deleted = len(EVENTS_OF_USERS) - len(rest)
    assert erase(eraser, f"{query}&dry_run=true") == {"count": deleted}
    assert len(ids(eraser)) == len(EVENTS_OF_USERS)
    assert erase(eraser, query) == {"deleted": deleted}
    assert ids(eraser) == rest
    assert erase(eraser, f"{query}&dry_run=false") == {"deleted": 0}
    assert len(ids(bob)) == len(EVENTS_OF_USERS)


@pytest.mark.parametrize("query", ["", "?start=2021-01-01", "?end=2030-01-01&tz=Europe/Berlin"])
def test_a_window_alone_is_refused_with_the_command_to_use(eraser: Person, query: str) -> None:
    eraser.post(CLICK)
    response = delete(eraser, query, Accept="application/problem+json")
    assert response.status_code == 400
    assert "`bytelog prune`" in response.text
    assert ids(eraser) == [CLICK["id"]]


@pytest.mark.parametrize("query", ["?user=7", "?name=click&limit=1", "?name=click&dry_run=yes"])
def test_an_unknown_parameter_deletes_nothing(eraser: Person, query: str) -> None:
    eraser.post(CLICK)
    assert delete(eraser, query).status_code == 400
    assert ids(eraser) == [CLICK["id"]]


def test_a_key_deletes_only_with_the_scope(person: Callable[..., Person], alice: Person) -> None:
    alice.post(CLICK)
    response = delete(alice, "?name=click")
    assert response.status_code == 403
    assert 'scope="delete"' in response.headers["WWW-Authenticate"]
    only = person("only", "shop", scopes=["delete"])
    assert erase(only, "?name=click") == {"deleted": 1}
    assert only.get().status_code == 403


def test_the_configured_key_cannot_delete_but_a_user_of_a_host_can(
    tmp_path: Path, database: str
) -> None:
    configured = create_app({"BYTELOG_API_KEY": "k"}, tmp_path / "key")
    assert delete(Person(configured.test_client(), "k"), "?name=click").status_code == 403
    host = create_app({}, tmp_path / "host", lambda *_: Access("team", ["delete"]))
    assert erase(Person(host.test_client(), "k"), "?name=click") == {"deleted": 0}


def test_more_events_than_a_request_may_delete_are_refused(
    eraser: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ERASED_EVENTS", 5)
    eraser.post(EVENTS_OF_USERS)
    response = delete(eraser, "?name=click", Accept="application/problem+json")
    assert (response.status_code, "`bytelog erase`" in response.text) == (400, True)
    assert len(ids(eraser)) == 6
    assert erase(eraser, "?name=click&dry_run=true") == {"count": 6}
    assert erase(eraser, "?data.user=1") == {"deleted": 3}


def test_a_reader_of_arrivals_continues_after_its_last_event_was_deleted(eraser: Person) -> None:
    eraser.post(EVENTS_OF_USERS)
    link = eraser.get("?order=arrival&limit=6").headers["Link"].partition(">")[0][1:]
    assert erase(eraser, "?data.user=1") == {"deleted": 3}
    following = eraser.get(link)
    assert following.json == {"count": 0, "events": []}
    eraser.post({**CLICK, "id": 9})
    link = following.headers["Link"].partition(">")[0][1:]
    assert [event["id"] for event in eraser.events(link)] == [9]


def test_pages_continue_after_a_deleted_event(eraser: Person) -> None:
    eraser.post(EVENTS_OF_USERS)
    link = eraser.get("?limit=2").headers["Link"].partition(">")[0][1:]
    assert erase(eraser, "?data.user=1") == {"deleted": 3}
    assert [event["id"] for event in eraser.events(link)] == [2, 4]


def test_a_retry_of_a_request_whose_event_was_deleted_stores_nothing(eraser: Person) -> None:
    headers = {**eraser.headers, "Idempotency-Key": "a"}
    assert eraser.post(CLICK, headers=headers).status_code == 201
    assert erase(eraser, "?name=click") == {"deleted": 1}
    assert eraser.post(CLICK, headers=headers).status_code == 201
    assert ids(eraser) == []


def contents(app: Flask) -> bytes:
    return b"".join(path.read_bytes() for path in Path(app.instance_path).iterdir())


@pytest.mark.sqlite_file
def test_the_text_of_deleted_events_is_in_no_file(app: Flask, eraser: Person) -> None:
    for number in range(300):
        secret = number % 3 == 0
        data: dict[str, Any] = {"user": 7, "text": SECRET} if secret else {"user": 8}
        trace = f"{SECRET} {number * 7919 % 1000}" if secret else f"trace {number * 7919 % 1000}"
        name = "Ana Lima" if secret else "click"
        eraser.post({**CLICK, "id": number, "name": name, "trace_id": trace, "data": data})
    eraser.post({**CLICK, "data": LARGE})
    assert SECRET.encode() in contents(app)
    assert erase(eraser, "?data.user=7") == {"deleted": 101}
    assert SECRET.encode() not in contents(app)
    assert b"Ana Lima" not in contents(app)
    assert len(ids(eraser)) == 200


@pytest.mark.sqlite_file
def test_a_long_reader_is_reported_until_the_log_can_be_emptied(app: Flask, eraser: Person) -> None:
    eraser.post({**CLICK, "data": LARGE})
    path = Path(app.instance_path) / "bytelog.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        assert erase(eraser, "?data.user=7") == {"deleted": 1, "log": "in use"}
        assert eraser.post({**CLICK, "id": 2}).status_code == 201
        assert SECRET.encode() in contents(app)
    assert erase(eraser, "?data.user=7") == {"deleted": 0}
    assert SECRET.encode() not in contents(app)


@pytest.mark.sqlite_file
def test_a_log_that_another_program_empties_is_reported(tmp_path: Path) -> None:
    app = create_app(
        {"BYTELOG_CHECKPOINTS": "off"}, tmp_path, lambda *_: Access("team", ["write", "delete"])
    )
    eraser = Person(app.test_client(), "")
    eraser.post(CLICK)
    assert erase(eraser, "?name=click") == {"deleted": 1, "log": "checkpoints off"}
