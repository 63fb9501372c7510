from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError
from support.api import CLICK, EVENTS, Person
from support.server import Server

from bytelog import Bytelog, create_app, timestamps
from bytelog.testing import KEY

pytestmark = pytest.mark.each_database


def test_a_new_event_gets_201_and_an_empty_body(alice: Person) -> None:
    response = alice.post(CLICK)
    assert response.status == "201 CREATED"
    assert response.data == b""


def test_a_stored_event_is_returned_equal_and_with_its_keys_in_order(alice: Person) -> None:
    alice.post(CLICK)
    assert alice.events() == [CLICK]
    assert list(alice.events()[0]) == ["id", "name", "trace_id", "date", "data"]


def test_an_event_without_a_date_gets_the_servers_time(alice: Person) -> None:
    alice.post({"id": 5, "name": "paypal_payment", "trace_id": "03758690"})
    (event,) = alice.events()
    age = datetime.now(UTC) - datetime.fromisoformat(event["date"])
    assert timedelta() <= age < timedelta(seconds=10)


def test_an_event_without_data_has_an_empty_object(alice: Person) -> None:
    alice.post({"id": 5, "name": "paypal_payment", "trace_id": "03758690"})
    assert alice.events()[0]["data"] == {}


def test_the_same_id_may_be_used_any_number_of_times(alice: Person) -> None:
    alice.post(CLICK)
    alice.post(CLICK)
    assert alice.events() == [CLICK, CLICK]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2021-07-04 13:34:56", "2021-07-04T13:34:56.000Z"),
        ("2021-07-04T13:34:56.789123+02:00", "2021-07-04T11:34:56.789Z"),
        ("2021-07-04", "2021-07-04T00:00:00.000Z"),
        ("20210704t133456z", "2021-07-04T13:34:56.000Z"),
    ],
)
def test_a_date_is_returned_in_utc_with_milliseconds(alice: Person, sent: str, stored: str) -> None:
    assert alice.post({**CLICK, "date": sent}).status_code == 201
    assert alice.events()[0]["date"] == stored


@pytest.mark.before_database
@pytest.mark.parametrize(
    "change",
    [
        {"id": "1"},
        {"id": 1.0},
        {"id": True},
        {"id": None},
        {"id": 2**63},
        {"id": -(2**63) - 1},
        {"name": ""},
        {"name": "n" * 256},
        {"name": "a\0b"},
        {"name": 7},
        {"name": {"first": "click"}},
        {"trace_id": None},
        {"trace_id": "t" * 256},
        {"date": "yesterday"},
        {"date": 1625405696},
        {"date": None},
        {"date": "2021-02-29"},
        {"data": []},
        {"data": "text"},
        {"data": None},
        {"extra": 1},
    ],
)
def test_an_invalid_field_gets_400_and_stores_nothing(
    alice: Person, change: dict[str, Any]
) -> None:
    response = alice.post({**CLICK, **change})
    assert response.status_code == 400
    assert response.data == b'{"error": "validation error"}'
    assert alice.events() == []


@pytest.mark.before_database
@pytest.mark.parametrize("field", ["id", "name", "trace_id"])
def test_a_required_field_is_required(alice: Person, field: str) -> None:
    body = {name: value for name, value in CLICK.items() if name != field}
    assert alice.post(body).status_code == 400


@pytest.mark.parametrize("id_", [0, -1, 2**63 - 1, -(2**63)])
def test_an_id_is_any_integer_of_64_bits(alice: Person, id_: int) -> None:
    assert alice.post({**CLICK, "id": id_}).status_code == 201
    assert alice.events()[0]["id"] == id_


@pytest.mark.parametrize(
    "text",
    ["n" * 255, "é" * 255, "😀" * 255, 'quo"te\\', "' OR 1=1 --", "<b>", "مرحبا", "a\nb", "\x7f"],
)
def test_unusual_text_is_returned_equal(alice: Person, text: str) -> None:
    event = {**CLICK, "name": text, "trace_id": text, "data": {text: [text, {"deep": text}]}}
    assert alice.post(event).status_code == 201
    assert alice.events() == [event]


@pytest.mark.before_database
@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "text/plain"]
)
def test_json_may_be_sent_as_plain_text(alice: Person, kind: str) -> None:
    body = b'{"id": 1, "name": "click", "trace_id": "1"}'
    response = alice.client.post(EVENTS, data=body, content_type=kind, headers=alice.headers)
    assert response.status_code == 201


@pytest.mark.before_database
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/xml", None])
def test_another_content_type_gets_415(alice: Person, kind: str | None) -> None:
    response = alice.client.post(EVENTS, data=b"{}", content_type=kind, headers=alice.headers)
    assert response.status_code == 415
    assert response.json == {"error": "unsupported media type"}


@pytest.mark.before_database
@pytest.mark.parametrize("size", [2**20 + 1, 4_000_000])
def test_a_client_that_sends_too_much_receives_413(server: Server, size: int) -> None:
    response = server.request(EVENTS, b"x" * size)
    assert (response.status, response.body) == (413, b'{"error": "request entity too large"}')


@pytest.mark.before_database
def test_a_body_beyond_the_limit_gets_413(alice: Person) -> None:
    response = alice.post({**CLICK, "data": {"text": "x" * 2**20}})
    assert response.status_code == 413
    assert alice.events() == []


def test_an_event_that_retention_would_delete_at_once_is_refused(tmp_path: Path) -> None:
    app = create_app({"BYTELOG_KEEP_DAYS": 90, "BYTELOG_API_KEY": KEY}, tmp_path)
    person = Person(app.test_client(), KEY)
    young = {**CLICK, "date": timestamps.format_utc(timestamps.days_ago(89))}
    problem = {**person.headers, "Accept": "application/problem+json"}
    for body, pointer in ((CLICK, "#/date"), ([young, CLICK], "#/1/date")):
        response = person.post(body, headers=problem)
        assert response.status_code == 400
        assert response.json is not None
        assert response.json["errors"][0]["pointer"] == pointer
    with pytest.raises(ValidationError, match="date"):
        Bytelog(app).record(**CLICK)
    assert person.post(young).status_code == 201
    assert person.events() == [young]
