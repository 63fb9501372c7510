from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.api import bounds
from bytelog.config import MAX_BODY_BYTES

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
PAID: dict[str, Any] = {
    "specversion": "1.0",
    "type": "order.paid",
    "source": "/shop",
    "id": "A-17",
    "time": "2021-08-15T23:41:41.507Z",
    "data": {"total": 1.10, "id": 10**30},
}
NAMES = ("specversion", "type", "source", "id", "time")
HEADERS = {f"ce-{name}": str(PAID[name]) for name in NAMES}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE_PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "cloudevents"}, tmp_path / "instance")


def send(person: Person, body: object, kind: str = ONE, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return person.client.post(
        EVENTS, data=data, content_type=kind, headers={**person.headers, **names}
    )


def send_binary(person: Person, data: bytes, kind: str = "", **headers: str) -> TestResponse:
    return send(person, data, kind, **{**HEADERS, **headers})


def problems_of(response: TestResponse) -> str:
    assert (response.status_code, response.json) == (400, {"error": "validation error"})
    return response.headers["Bytelog-Detail"]


@pytest.mark.each_database
def test_a_cloudevent_becomes_an_event(alice: Person) -> None:
    response = send(alice, PAID, f"{ONE.upper()}; charset=UTF-8")
    assert (response.status_code, response.data) == (201, b"")
    digest = sha256(b'["/shop", "A-17"]').digest()
    assert alice.events() == [
        {
            "id": int.from_bytes(digest[:8]) >> 1,
            "name": "order.paid",
            "trace_id": "/shop",
            "date": "2021-08-15T23:41:41.507Z",
            "data": {name: PAID[name] for name in ("specversion", "source", "id", "data")},
        }
    ]


@pytest.mark.each_database
def test_a_cloudevent_is_stored_once_whatever_its_mode(alice: Person) -> None:
    other_source, other_id = {**PAID, "source": "/bank"}, {**PAID, "id": "A-18"}
    assert send(alice, PAID).status_code == 201
    assert send(alice, {**PAID, "time": None}).status_code == 201
    assert send(alice, [PAID, other_source, other_source], BATCH).status_code == 201
    assert send_binary(alice, b"{}").status_code == 201
    assert len(alice.events()) == 2
    assert send(alice, [other_id, PAID], BATCH).status_code == 201
    assert [event["data"]["id"] for event in alice.events("?order=arrival")] == [
        "A-17",
        "A-17",
        "A-18",
    ]


def test_the_modes_store_the_same_event(alice: Person, bob: Person) -> None:
    attributes = {"subject": 'Größe 5% "x" \\', "myextension": "ü"}
    send(alice, {**PAID, "datacontenttype": "application/json", **attributes})
    headers = {"ce_subject": r'"Gr%c3%b6%C3%9Fe 5%25 \"x\" \\"', "ce_myextension": "%C3%BC"}
    data = b'{ "total": 1.1, "id": 1' + b"0" * 30 + b"} "
    assert send_binary(bob, data, "application/json", **headers).status_code == 201
    assert alice.events() == bob.events()
    assert bob.events()[0]["trace_id"] == 'Größe 5% "x" \\'


@pytest.mark.parametrize(
    ("kind", "data", "members"),
    [
        ("", b"", {}),
        ("", b'{"a":1}', {"data": {"a": 1}}),
        ("", b"plain", {"data": "plain"}),
        ("", b"\xff\x00", {"data_base64": "/wA="}),
        ("application/json", b'{"a":1}', {"data": {"a": 1}}),
        ("application/json; charset=utf-8", b"[1]", {"data": [1]}),
        ("application/vnd.shop+json", b"null", {"data": None}),
        ("application/json", b'"text"', {"data": "text"}),
        ("application/json", b"text", {"data": "text"}),
        ("text/plain", b'{"a":1}', {"data": '{"a":1}'}),
        ("application/xml", '<much wow="ü"/>'.encode(), {"data": '<much wow="ü"/>'}),
        ("application/x-ndjson", b'{"a":1}\n', {"data": '{"a":1}\n'}),
        ("image/png", b"\x89PNG\r\n", {"data_base64": "iVBORw0K"}),
    ],
)
def test_data_of_any_type_is_kept(
    alice: Person, kind: str, data: bytes, members: dict[str, Any]
) -> None:
    assert send_binary(alice, data, kind).status_code == 201
    types = {"datacontenttype": kind} if kind else {}
    kept = {name: PAID[name] for name in ("specversion", "source", "id")}
    assert alice.events()[0]["data"] == {**kept, **types, **members}


@pytest.mark.parametrize(
    ("attributes", "trace_id"),
    [
        ({}, "/shop"),
        ({"subject": None}, "/shop"),
        ({"subject": "order-7"}, "order-7"),
        ({"subject": ""}, "/shop"),
        ({"subject": "order-7", "traceparent": TRACE_PARENT}, TRACE_ID),
        ({"traceparent": TRACE_PARENT.replace("00-", "cc-", 1) + "-more"}, TRACE_ID),
        ({"traceparent": f"{TRACE_PARENT}-more"}, "/shop"),
        ({"traceparent": TRACE_PARENT.replace("00-", "ff-", 1)}, "/shop"),
        ({"traceparent": TRACE_PARENT.replace(TRACE_ID, "0" * 32)}, "/shop"),
        ({"traceparent": TRACE_PARENT.upper()}, "/shop"),
        ({"subject": "x" * 300}, "x" * 255),
    ],
)
def test_the_trace_id_is_that_of_the_trace_or_of_the_subject_or_the_source(
    alice: Person, attributes: dict[str, Any], trace_id: str
) -> None:
    assert send(alice, {**PAID, **attributes}).status_code == 201
    (event,) = alice.events()
    assert event["trace_id"] == trace_id
    assert attributes.items() <= event["data"].items()


def test_what_a_field_does_not_repeat_exactly_stays_in_data(alice: Person) -> None:
    changes = {"type": "t" * 300, "time": "2021-08-15T23:41:41.507123+02:00"}
    send(alice, {**PAID, **changes, "data": None, "n": 5, "is": True, "no": None})
    (event,) = alice.events()
    assert (event["name"], event["date"]) == ("t" * 255, "2021-08-15T21:41:41.507Z")
    assert (
        event["data"].items() >= {**changes, "data": None, "n": 5, "is": True, "no": None}.items()
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": ""}, "#/id: Must be a text that is not empty."),
        ({"source": 5}, "#/source: Must be a text that is not empty."),
        ({"type": None}, "#/type: Must be a text that is not empty."),
        ({"type": "a\0"}, "#/name: Must be a string of 1 to 255 characters, without NUL."),
        ({"specversion": "0.3"}, '#/specversion: Must be "1.0".'),
        ({"subject": 5, "traceparent": {}}, "#/subject: Must be a text. #/traceparent: Must be a"),
        ({"time": "soon"}, "#/time: Must be a date: write it like"),
        ({"time": 5}, "#/time: Must be a date: write it like"),
        ({"data_base64": "AA=="}, "#/data_base64: Must not be together with `data`."),
    ],
)
def test_an_invalid_cloudevent_gets_400_with_the_reason(
    alice: Person, changes: dict[str, Any], problem: str
) -> None:
    assert problems_of(send(alice, {**PAID, **changes})).startswith(problem)
    response = send(alice, [PAID, {**PAID, **changes}], BATCH)
    assert problems_of(response).startswith(problem.replace("#", "#/1", 1)[:20])
    assert alice.events() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b'{"id":1,"id":2}', b"\xff", json.dumps([PAID]).encode()]
)
def test_a_body_that_is_no_json_object_gets_400(alice: Person, body: bytes) -> None:
    assert problems_of(send(alice, body)).startswith("#: Not I-JSON")


def test_a_batch_may_be_empty_and_must_be_an_array(alice: Person) -> None:
    assert send(alice, b" [ ] ", BATCH).status_code == 201
    for body in (b"", b"{}", b"[", json.dumps(PAID).encode()):
        assert problems_of(send(alice, body, BATCH))
    text = {name: PAID[name] for name in PAID if name != "data"} | {"data_base64": "not base64"}
    assert problems_of(send(alice, [text], BATCH)) == "#/0/data_base64: Must be Base64."


def test_headers_and_data_of_binary_mode_must_be_valid(alice: Person) -> None:
    detail = problems_of(send_binary(alice, b"{}", ce_subject="%C0%A0"))
    assert detail == "#/subject: Must be UTF-8, percent-encoded."
    assert problems_of(send_binary(alice, b'{"a":')).startswith("#/data: Not I-JSON")
    assert problems_of(send_binary(alice, b'{},"data":1', "application/json"))
    assert problems_of(send_binary(alice, b"", ce_id="", ce_type="")) == (
        "#/id: Must be a text that is not empty. #/type: Must be a text that is not empty."
    )
    assert alice.events() == []


def test_a_cloudevent_is_limited_and_may_be_compressed(alice: Person) -> None:
    room = MAX_BODY_BYTES - len(json.dumps({**PAID, "data": ""}))
    large = json.dumps({**PAID, "data": "x" * room}).encode()
    body = gzip.compress(large)
    assert send(alice, body, Content_Encoding="gzip").status_code == 201
    assert send(alice, large + b" ").status_code == 413
    assert problems_of(send(alice, b"[%b ]" % large.replace(b"x", b"xx", 1), BATCH))
    # Escapes make the stored text longer than the body.
    assert send_binary(alice, b"\x01" * (MAX_BODY_BYTES // 5), "text/plain").status_code == 413
    assert len(alice.events()) == 1


def test_cloudevents_that_are_off_get_415(app: Flask) -> None:
    off = create_app({"BYTELOG_API_KEY": "k"}, app.instance_path)
    alice = Person(off.test_client(), "k")
    for kind in (ONE, BATCH, ""):
        assert send(alice, PAID, kind, **HEADERS).status_code == 415
    assert alice.post(CLICK).status_code == 201


def test_a_key_records_only_cloudevents_in_its_bound_and_learns_of_no_others(
    alice: Person, person: Callable[..., Person]
) -> None:
    tenant = person("tenant", "shop", bound=bounds.write(["name=order.paid"]))
    assert send(alice, PAID).status_code == 201
    assert send(tenant, PAID).status_code == 201
    assert len(alice.events()) == 2
    assert send(tenant, [PAID, {**PAID, "id": "2", "type": "other"}], BATCH).status_code == 403
    assert len(alice.events()) == 2
