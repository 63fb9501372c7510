from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import Person
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.intake.seq import CLEF

RAW_PATH, CLEF_PATH = "/api/events/raw", "/ingest/clef"
ACCEPTED = {"MinimumLevelAccepted": None}
EVENT: dict[str, Any] = {
    "Timestamp": "2021-08-15T23:41:41.507Z",
    "Level": "Warning",
    "MessageTemplate": "Order {OrderId} paid",
    "Properties": {"OrderId": 7, "RequestId": "r-1"},
}
LINE: dict[str, Any] = {
    "@t": "2021-08-15T23:41:41.5071234Z",
    "@mt": "Order {OrderId} paid",
    "@tr": "4bf92f3577b34da6a3ce929d0e0e4736",
    "@l": "Warning",
    "OrderId": 7,
}


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "seq"}, tmp_path / "instance")


def key_of(person: Person) -> str:
    return person.headers["Authorization"].removeprefix("Bearer ")


def send(
    person: Person, path: str, body: bytes, kind: str = "application/json", **headers: str
) -> TestResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    key = {} if "apiKey" in path else {"X-Seq-ApiKey": key_of(person)}
    return person.client.post(path, data=body, content_type=kind, headers={**key, **names})


def written(*events: object) -> bytes:
    return "\r\n".join(map(json.dumps, events)).encode()


@pytest.mark.each_database
def test_an_event_in_the_older_form_is_stored(alice: Person) -> None:
    response = send(alice, RAW_PATH, json.dumps({"Events": [EVENT]}).encode())
    assert (response.status_code, response.json) == (201, ACCEPTED)
    (event,) = alice.events()
    assert (event["name"], event["trace_id"]) == ("Order {OrderId} paid", "r-1")
    assert event["date"] == EVENT["Timestamp"]
    assert event["data"] == {name: EVENT[name] for name in ("Level", "Properties")}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (RAW_PATH, CLEF),
        (f"{RAW_PATH}?clef", "application/json"),
        (CLEF_PATH, f"{CLEF}; charset=utf-8"),
        (CLEF_PATH, "application/json"),
        (CLEF_PATH, ""),
    ],
)
def test_events_in_clef_are_stored(alice: Person, path: str, kind: str) -> None:
    response = send(alice, path, written(LINE, {**LINE, "OrderId": 8}), kind)
    assert (response.status_code, response.json) == (201, ACCEPTED)
    first, second = alice.events("?order=arrival")
    assert (first["name"], first["trace_id"]) == (LINE["@mt"], LINE["@tr"])
    assert first["date"] == "2021-08-15T23:41:41.507Z"
    assert first["data"] == {name: LINE[name] for name in ("@t", "@l", "OrderId")}
    assert first["id"] != second["id"]


def test_one_event_in_clef_may_have_several_lines(alice: Person) -> None:
    body = gzip.compress(json.dumps(LINE, indent=2).encode())
    assert send(alice, CLEF_PATH, body, Content_Encoding="gzip").status_code == 201
    assert len(alice.events()) == 1


def test_a_request_that_is_sent_again_stores_events_with_the_same_ids(alice: Person) -> None:
    for _ in range(2):
        send(alice, CLEF_PATH, written({"@t": LINE["@t"]}), CLEF)
    first, second = alice.events()
    assert (first["name"], first["id"]) == ("Information", second["id"])
    assert first["trace_id"] != second["trace_id"]


def test_deduplication_stores_an_event_with_a_trace_id_once(app: Flask) -> None:
    settings = {"BYTELOG_INTAKE": "seq", "BYTELOG_API_KEY": "k", "BYTELOG_DEDUPE_DAYS": 7}
    alice = Person(create_app(settings, app.instance_path).test_client(), "k")
    for _ in range(2):
        send(alice, CLEF_PATH, written(LINE, {**LINE, "OrderId": 8}), CLEF)
    assert len(alice.events()) == 2


def test_names_and_trace_ids_that_are_too_long_are_cut(alice: Person) -> None:
    long = {**EVENT, "MessageTemplate": "m" * 300, "TraceId": "t" * 300, "Properties": None}
    send(alice, RAW_PATH, json.dumps({"Events": [long]}).encode())
    (event,) = alice.events()
    assert (event["name"], event["trace_id"]) == ("m" * 255, "t" * 255)
    assert event["data"]["MessageTemplate"] == "m" * 300


@pytest.mark.parametrize(("path", "body"), [(RAW_PATH, b'{"Events":[]}'), (CLEF_PATH, b"\r\n")])
def test_an_empty_request_is_accepted(alice: Person, path: str, body: bytes) -> None:
    # Serilog sends one to learn the level.
    assert send(alice, path, body).json == ACCEPTED


def test_of_a_request_with_invalid_events_the_others_are_stored(alice: Person) -> None:
    response = send(alice, CLEF_PATH, written(LINE, {"@mt": "undated"}, 5), CLEF)
    assert (response.status_code, len(alice.events())) == (201, 1)
    detail = "Missing data for required field. #/2: Not I-JSON: not an object."
    assert response.headers["Bytelog-Detail"].endswith(detail)


def test_errors_have_the_shape_of_seq(alice: Person) -> None:
    for path, body, reason in (
        (RAW_PATH, b"{}", "missing required field `Events`"),
        (RAW_PATH, b'{"Events":5}', "must be an array"),
        (RAW_PATH, b"{", "Not valid"),
        (CLEF_PATH, b"{", "Not I-JSON"),
    ):
        response = send(alice, path, body)
        assert response.status_code == 400
        assert response.json is not None
        assert response.json.keys() == {"Error"}
        assert reason in response.json["Error"]


def test_a_request_has_at_most_as_many_events_as_a_batch(app: Flask) -> None:
    settings = {"BYTELOG_INTAKE": "seq", "BYTELOG_API_KEY": "k", "BYTELOG_BATCH_EVENTS": 3}
    alice = Person(create_app(settings, app.instance_path).test_client(), "k")
    assert send(alice, CLEF_PATH, written(*[LINE] * 3), CLEF).status_code == 201
    for path, body in ((CLEF_PATH, b"1\n" * 4), (RAW_PATH, b'{"Events":[1,2,3,4]}')):
        assert send(alice, path, body).status_code == 413


def test_the_key_is_in_a_header_or_in_the_query(
    alice: Person, person: Callable[..., Person], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body, key = written(LINE), key_of(alice)
    bearer = alice.client.post(CLEF_PATH, data=body, headers=alice.headers)
    assert bearer.status_code == 201
    assert send(alice, f"{CLEF_PATH}?apiKey={key}", body).status_code == 201
    assert send(alice, f"{CLEF_PATH}?apiKey={key}", b"{").status_code == 400
    assert key not in caplog.text
    reader = person("reader", "shop", scopes=["read"])
    for response, status in (
        (send(alice, f"{CLEF_PATH}?apiKey=wrong%ff", body), 401),
        (alice.client.post(CLEF_PATH, data=body, headers={"X-Seq-ApiKey": "wr\xf6ng"}), 401),
        (alice.client.post(CLEF_PATH, data=body), 401),
        (send(reader, CLEF_PATH, body), 403),
    ):
        assert response.status_code == status
        assert response.json is not None
        assert response.json.keys() == {"Error"}


def test_a_key_outside_ascii_is_found_in_a_header(app: Flask) -> None:
    key = "schlüssel"
    settings = {"BYTELOG_INTAKE": "seq", "BYTELOG_API_KEY": key}
    client = create_app(settings, app.instance_path).test_client()
    headers = {"X-Seq-ApiKey": key.encode().decode("latin-1")}
    assert client.post(CLEF_PATH, data=written(LINE), headers=headers).status_code == 201
    assert client.post(f"{CLEF_PATH}?apiKey={key}", data=written(LINE)).status_code == 201
