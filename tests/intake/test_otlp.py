from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from support.api import Person
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.config import MAX_BODY_BYTES
from bytelog.intake.otlp import JSON, PROTOBUF

LOGS = "/v1/logs"
PROTOBUF_MODULE = "opentelemetry.proto.collector.logs.v1.logs_service_pb2"
RECORD: dict[str, Any] = {
    "timeUnixNano": "1629070901507123456",
    "severityNumber": 9,
    "eventName": "order.paid",
    "body": {"stringValue": "paid"},
    "attributes": [{"key": "total", "value": {"doubleValue": 19.9}}],
    "traceId": "4BF92F3577B34DA6A3CE929D0E0E4736",
}
TRACE_ID = RECORD["traceId"].lower()
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
SCOPE = {"name": "orders", "version": "2"}


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "otlp"}, tmp_path / "instance")


def written(*records: object, **changes: Any) -> dict[str, Any]:
    scope = {"scope": SCOPE, "logRecords": [*records], **changes}
    return {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [scope]}]}


def send(person: Person, body: object, kind: str = JSON, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return person.client.post(
        LOGS, data=data, content_type=kind, headers={**person.headers, **headers}
    )


def without(name: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name} | changes


@pytest.mark.each_database
def test_a_log_record_becomes_an_event(alice: Person) -> None:
    body = gzip.compress(json.dumps(written(RECORD)).encode())
    response = send(alice, body, f"{JSON}; charset=utf-8", **{"Content-Encoding": "gzip"})
    assert (response.status_code, response.json, response.mimetype) == (200, {}, JSON)
    (event,) = alice.events()
    assert (event["name"], event["trace_id"]) == ("order.paid", TRACE_ID)
    assert event["date"] == "2021-08-15T23:41:41.507Z"
    assert event["data"] == {
        "timeUnixNano": "1629070901507123456",
        "severityNumber": 9,
        "body": "paid",
        "attributes": {"total": 19.9},
        "traceId": RECORD["traceId"],
        "resource": {"attributes": {"service.name": "shop"}},
        "scope": SCOPE,
    }


def test_protobuf_stores_the_same_event_and_gets_protobuf(alice: Person, bob: Person) -> None:
    record = RECORD | {"observedTimeUnixNano": "1629070901507123457", "flags": 1}
    send(alice, written({**record, "traceId": TRACE_ID}))
    message = ParseDict(written({**record, "traceId": None}), ExportLogsServiceRequest())
    message.resource_logs[0].scope_logs[0].log_records[0].trace_id = bytes.fromhex(TRACE_ID)
    response = send(bob, message.SerializeToString(), PROTOBUF)
    assert (response.status_code, response.data, response.mimetype) == (200, b"", PROTOBUF)
    (event,), (same,) = alice.events(), bob.events()
    assert same == {**event, "id": same["id"]}


def test_each_kind_of_value_is_the_same_in_both_encodings(alice: Person, bob: Person) -> None:
    values: list[dict[str, Any]] = [
        *({"stringValue": "ü"}, {"stringValue": ""}, {"boolValue": False}, {"bytesValue": "/wA="}),
        *({"intValue": "-5"}, {"doubleValue": 1.5}, {"doubleValue": 2.0}, {}),
        *({"doubleValue": text} for text in ("NaN", "Infinity", "-Infinity")),
        {"arrayValue": {}},
        {"kvlistValue": {}},
        {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{}]}}}]}},
    ]
    pairs = [{"key": str(i), "value": value} for i, value in enumerate(values)]
    record = without("traceId", attributes=[*pairs, {"key": "b"}], droppedAttributesCount=1)
    body = written(record | {"body": {"arrayValue": {"values": values}}}, schemaUrl="s")
    body["resourceLogs"][0] |= {"resource": {"attributes": pairs}, "schemaUrl": "r"}
    message = ParseDict(body, ExportLogsServiceRequest()).SerializeToString()
    assert (send(alice, body).json, send(bob, message, PROTOBUF).data) == ({}, b"")
    assert bob.events()[0]["data"] == alice.events()[0]["data"]


@pytest.mark.parametrize(
    ("record", "name", "trace_id"),
    [
        (RECORD, "order.paid", TRACE_ID),
        (without("eventName"), "orders", TRACE_ID),
        (
            {"attributes": [{"key": "event.name", "value": {"stringValue": "n"}}]},
            "n",
            None,
        ),
        (
            {"attributes": [{"key": "session.id", "value": {"stringValue": "s" * 300}}]},
            "orders",
            "s" * 255,
        ),
        (without("traceId", traceId="0" * 32, eventName="e" * 300), "e" * 255, None),
    ],
)
def test_the_name_and_the_trace_id_are_the_first_that_a_record_has(
    alice: Person, record: dict[str, Any], name: str, trace_id: str | None
) -> None:
    assert send(alice, written(record, record)).json == {}
    first, second = alice.events()
    assert first["name"] == name
    assert trace_id in (None, first["trace_id"])
    assert (first["trace_id"] == second["trace_id"]) == (trace_id is not None)


@pytest.mark.parametrize(
    ("times", "date"),
    [
        ({"timeUnixNano": 1629070901507123456}, "2021-08-15T23:41:41.507Z"),
        (
            {"timeUnixNano": "0", "observedTimeUnixNano": "1629070901507123456"},
            "2021-08-15T23:41:41.507Z",
        ),
        ({"timeUnixNano": 0, "observedTimeUnixNano": 1.6290709015e18}, "2021-08-15T23:41:41.500Z"),
        ({}, None),
    ],
)
def test_the_date_is_in_nanoseconds_as_text_or_number(
    alice: Person, times: dict[str, Any], date: str | None
) -> None:
    assert send(alice, written(without("timeUnixNano", **times))).json == {}
    assert date in (None, alice.events()[0]["date"])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"intValue": "9007199254740993"}, 9007199254740993),
        ({"intValue": 5}, 5),
        ({"intValue": "many"}, {"intValue": "many"}),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": "NaN"}, {"doubleValue": "NaN"}),
        ({"boolValue": False}, False),
        ({"stringValue": ""}, ""),
        ({"bytesValue": "/wA="}, {"bytesValue": "/wA="}),
        ({"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "a"}, {}]}}, [1, "a", None]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}, {"a": 1}),
        (
            {"kvlistValue": {"values": [{"key": "a"}, {"key": "a"}]}},
            [{"key": "a"}, {"key": "a"}],
        ),
        ({}, None),
        (5, 5),
    ],
)
def test_values_become_json_and_none_is_lost(alice: Person, value: Any, plain: Any) -> None:
    attributes = [{"key": "a.b", "value": value}, {"key": "c"}]
    assert send(alice, written({"body": value, "attributes": attributes, "new": 1})).json == {}
    data = alice.events()[0]["data"]
    assert (data["body"], data["attributes"]["a.b"], data["new"]) == (plain, plain, 1)


def test_of_a_request_with_invalid_records_the_others_are_stored(alice: Person) -> None:
    bad = [5, without("", timeUnixNano="soon"), without("", eventName="a\0")]
    response = send(alice, written(RECORD, *bad, RECORD))
    assert (response.status_code, len(alice.events())) == (200, 2)
    assert response.json is not None
    partial = response.json["partialSuccess"]
    assert partial["rejectedLogRecords"] == "3"
    assert "#/2/timeUnixNano: Must be nanoseconds since 1970." in partial["errorMessage"]
    message = ParseDict(written(RECORD, bad[2]), ExportLogsServiceRequest())
    response = send(alice, message.SerializeToString(), PROTOBUF)
    stored = ExportLogsServiceResponse.FromString(response.data).partial_success
    assert (stored.rejected_log_records, stored.error_message != "") == (1, True)


def test_a_request_without_records_succeeds(alice: Person) -> None:
    bodies: list[dict[str, Any]] = [{}, {"resourceLogs": [{"scopeLogs": None}]}, written()]
    for body in bodies:
        assert send(alice, body).json == {}
    assert send(alice, b"", PROTOBUF).status_code == 200


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_a_request_may_not_have_too_many_resources_or_scopes(alice: Person, kind: str) -> None:
    def respond(body: dict[str, Any]) -> int:
        message = ParseDict(body, ExportLogsServiceRequest()).SerializeToString()
        return send(alice, message if kind == PROTOBUF else body, kind).status_code

    most = alice.client.application.config["BYTELOG_BATCH_EVENTS"] = 3
    for number, status in ((most, 200), (most + 1, 413)):
        assert respond({"resourceLogs": [{}] * number}) == status
        assert respond({"resourceLogs": [{"scopeLogs": [{}] * number}]}) == status


@pytest.mark.parametrize(
    "write",
    [
        lambda values: {"attributes": values},
        lambda values: {"body": {"arrayValue": {"values": values}}},
        lambda values: {"body": {"kvlistValue": {"values": values}}},
    ],
)
def test_a_protobuf_request_may_not_have_too_many_values(
    alice: Person, write: Callable[[list[Any]], dict[str, Any]]
) -> None:
    alice.client.application.config["BYTELOG_BATCH_EVENTS"] = most = 4
    for number, status in ((most * 127, 200), (most * 128, 413)):
        body = written(*[write([{}] * (number // most))] * most)
        message = ParseDict(body, ExportLogsServiceRequest()).SerializeToString()
        assert send(alice, message, PROTOBUF).status_code == status
        assert len(alice.events()) == most


def test_a_protobuf_request_may_not_have_too_many_unknown_fields(alice: Person) -> None:
    alice.client.application.config["BYTELOG_BATCH_EVENTS"] = most = 4
    unknown = b"\x20\x01", b"\x29" + bytes(8), b"\x2d" + bytes(4), b"\x32\x00"
    for field in unknown:
        assert send(alice, field * most * 10, PROTOBUF).status_code == 200
        assert send(alice, field * (most * 10 + 1), PROTOBUF).status_code == 413


@pytest.mark.parametrize("body", ["0a", "0a05", "0a030a05", "0b", "0a" + "ff" * 11, "0a021a01"])
def test_what_is_not_protobuf_gets_400(alice: Person, body: str) -> None:
    response = send(alice, bytes.fromhex(body), PROTOBUF)
    assert response.status_code == 400
    assert b"Not Protobuf" in response.data


def test_a_record_that_is_no_protobuf_or_too_large_is_left_out(alice: Person) -> None:
    message = ParseDict(written(RECORD | {"traceId": None}, {}, {}), ExportLogsServiceRequest())
    scope = message.resource_logs[0].scope_logs[0]
    scope.log_records[1].body.string_value = "x" * MAX_BODY_BYTES
    scope.log_records[2].event_name = "not UTF-8"
    body = message.SerializeToString().replace(b"not UTF-8", b"not UTF-\xff")
    stored = ExportLogsServiceResponse.FromString(send(alice, body, PROTOBUF).data)
    assert stored.partial_success.rejected_log_records == 2
    assert len(alice.events()) == 1


def test_a_large_resource_is_converted_once_for_all_its_scopes(alice: Person) -> None:
    empty = {f"a{i}": None for i in range(60_000)}
    scopes = [{"logRecords": [RECORD]}] * 8000
    began = time.process_time()
    assert send(alice, {"resourceLogs": [{"resource": empty, "scopeLogs": scopes}]}).json == {}
    assert time.process_time() - began < 4
    assert len(alice.events()) == 8000


def test_a_resource_in_many_parts_is_joined_once(alice: Person) -> None:
    parts = (b"\x0a\x7e" + bytes(126)) * 2**16
    began = time.process_time()
    assert send(alice, b"\x0a\x80\x80\x80\x04" + parts, PROTOBUF).status_code == 200
    assert time.process_time() - began < 4


def test_records_of_a_resource_that_is_too_large_are_rejected(alice: Person) -> None:
    body = written(RECORD)
    large = {"resource": {"a": "a" * MAX_BODY_BYTES}, "scopeLogs": [{"logRecords": [RECORD]}]}
    response = send(alice, {"resourceLogs": [large, *body["resourceLogs"]]})
    assert response.json is not None
    assert response.json["partialSuccess"]["rejectedLogRecords"] == "1"
    assert len(alice.events()) == 1


def test_deduplication_stores_a_record_with_a_trace_id_once(app: Flask) -> None:
    settings = {"BYTELOG_INTAKE": "otlp", "BYTELOG_API_KEY": "k", "BYTELOG_DEDUPE_DAYS": 7}
    alice = Person(create_app(settings, app.instance_path).test_client(), "k")
    for _ in range(2):
        assert send(alice, written(RECORD, {**RECORD, "severityNumber": 5})).json == {}
    assert len(alice.events()) == 2


def test_errors_are_a_status_in_the_encoding_of_the_request(alice: Person) -> None:
    stranger = Person(alice.client, "wrong")
    for person, body, kind, status in (
        (stranger, b"{}", JSON, 401),
        (alice, b"{", JSON, 400),
        (alice, json.dumps(written({**RECORD, "timeUnixNano": {}})).encode(), JSON, 400),
        (alice, b"{}", "text/plain", 415),
        (stranger, b"", PROTOBUF, 401),
        (alice, b"\xff" * 200, PROTOBUF, 400),
    ):
        response = send(person, body, kind)
        assert response.status_code == status
        if kind == PROTOBUF:
            status_message = Status.FromString(response.data)
            assert status_message.message.endswith(".")
        else:
            assert response.json is not None
            assert response.json.keys() == {"message"}
    assert "WWW-Authenticate" in send(stranger, b"{}").headers


def test_protobuf_without_the_extra_gets_415_that_names_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys.modules["bytelog.intake"], "otlp_protobuf", raising=False)
    monkeypatch.delitem(sys.modules, "bytelog.intake.otlp_protobuf", raising=False)
    monkeypatch.setitem(sys.modules, PROTOBUF_MODULE, None)
    response = send(alice, b"", PROTOBUF)
    assert response.status_code == 415
    assert b"bytelog[otlp]" in response.data
    assert send(alice, written(RECORD)).status_code == 200


def test_a_resource_that_many_records_share_cannot_fill_the_memory(alice: Person) -> None:
    resource = {"attributes": [{"key": "a", "value": {"stringValue": "x" * 500_000}}]}
    body = written(*[{"eventName": "e"}] * 100)
    body["resourceLogs"][0]["resource"] = resource
    assert send(alice, body).status_code == 413
    body = written({"body": {"stringValue": "x" * 2**20}}, RECORD)
    assert send(alice, body).status_code == 200
    assert len(alice.events()) == 1


def test_a_request_has_at_most_as_many_records_as_a_batch(app: Flask) -> None:
    settings = {"BYTELOG_INTAKE": "otlp", "BYTELOG_API_KEY": "k", "BYTELOG_BATCH_EVENTS": 3}
    alice = Person(create_app(settings, app.instance_path).test_client(), "k")
    twice = {"resourceLogs": written(RECORD, RECORD)["resourceLogs"] * 2}
    message = ParseDict(twice, ExportLogsServiceRequest()).SerializeToString()
    for body, kind in ((twice, JSON), (written(*[1] * 4), JSON), (message, PROTOBUF)):
        assert send(alice, body, kind).status_code == 413
    assert send(alice, written(*[RECORD] * 3)).status_code == 200


@pytest.mark.parametrize("levels", [70, 300, 100_000])
def test_a_deep_value_is_rejected(alice: Person, levels: int) -> None:
    body = json.dumps(written({"body": "DEEP"})).encode()
    deep = b'{"arrayValue":{"values":[' * levels + b"]}}" * levels
    response = send(alice, body.replace(b'"DEEP"', deep))
    assert response.status_code == 400
    assert alice.events() == []
