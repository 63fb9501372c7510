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
from bytelog.intake.endpoints import FORMATS
from bytelog.intake.segment import CALLS, MAX_BATCH_BYTES
from bytelog.sources.mappings import SOURCES

TRACK = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "ajs-1",
    "userId": "user-7",
    "timestamp": "2021-08-15T23:41:41.507Z",
    "properties": {"total": 1.10},
    "context": {"library": {"name": "analytics-node"}},
}


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "segment"}, tmp_path / "instance")


def key_of(person: Person) -> str:
    return person.headers["Authorization"].removeprefix("Bearer ")


def post(person: Person, path: str, body: object, **arguments: Any) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return person.client.post(path, data=data, **arguments)


def errors_of(response: TestResponse) -> dict[str, str]:
    assert response.json is not None
    assert response.json.keys() == {"error", "code", "message"}
    return dict(response.json)


def test_a_message_becomes_an_event(alice: Person) -> None:
    response = post(alice, "/v1/batch", {"batch": [TRACK]}, auth=(key_of(alice), ""))
    assert (response.status_code, response.json) == (200, {"success": True})
    (event,) = alice.events()
    assert event["name"] == "Order Completed"
    assert event["trace_id"] == "user-7"
    assert event["date"] == "2021-08-15T23:41:41.507Z"
    kept = {name: TRACK[name] for name in ("type", "messageId", "properties", "context")}
    assert event["data"] == kept


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_may_have_any_media_type_and_be_compressed(alice: Person, media_type: str) -> None:
    body = gzip.compress(json.dumps({"batch": [TRACK], "writeKey": key_of(alice)}).encode())
    headers = {"Content-Encoding": "gzip"}
    response = post(alice, "/v1/batch", body, content_type=media_type, headers=headers)
    assert response.status_code == 200
    assert len(alice.events()) == 1


@pytest.mark.parametrize("path", [*CALLS, *"tipsga"])
def test_one_message_can_be_posted_alone_and_its_key_is_not_stored(
    alice: Person, path: str
) -> None:
    body = {**TRACK, "writeKey": key_of(alice)}
    response = post(alice, f"/v1/{path}", body, content_type="text/plain")
    assert (response.status_code, response.json) == (200, {"success": True})
    assert key_of(alice) not in json.dumps(alice.events())


def test_of_a_batch_with_invalid_messages_the_others_are_stored(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bytelog")
    batch = [TRACK, {"userId": "u"}, 5, {**TRACK, "messageId": "ajs-2"}]
    response = post(alice, "/v1/batch", {"batch": batch}, headers=alice.headers)
    assert (response.status_code, response.json) == (200, {"success": True})
    assert len(alice.events()) == 2
    detail = "#/1/name: Missing data for required field. #/2: Not I-JSON: not an object."
    assert response.headers["Bytelog-Detail"] == detail
    assert "200 without 2 messages for POST /v1/batch with key 1" in caplog.text


def test_a_request_without_a_valid_message_gets_400(alice: Person) -> None:
    for body in (b'{"batch": [', b'{"batch": [{"userId": "u"}]}', b'{"batch": 5}', b"\xff", b"{}"):
        response = post(alice, "/v1/batch", body, headers=alice.headers)
        assert response.status_code == 400
        assert errors_of(response)["code"] == "bad_request"
    assert alice.events() == []


def test_a_batch_may_not_have_too_many_messages(app: Flask, alice: Person) -> None:
    app.config["BYTELOG_BATCH_EVENTS"] = 2
    assert (
        post(alice, "/v1/batch", {"batch": [TRACK] * 2}, headers=alice.headers).status_code == 200
    )
    assert post(alice, "/v1/batch", {"batch": [1] * 3}, headers=alice.headers).status_code == 413


def test_ids_with_many_digits_are_different_messages_and_traces(alice: Person) -> None:
    numbers = [f"{'1' * 50}2", f"{'1' * 50}3", "0.1", "0.10000000000000000555"]
    for number in numbers:
        body = f'{{"type": "track", "event": "e", "messageId": {number}, "userId": {number}}}'
        for _ in range(2):
            assert post(alice, "/v1/track", body.encode(), headers=alice.headers).status_code == 200
    assert [event["trace_id"] for event in alice.events("?order=arrival")] == numbers


def test_a_nested_id_with_many_digits_is_read_as_it_was_written() -> None:
    text = '{"event": "e", "properties": {"x": {}, "$insert_id": 0.10000000000000000555}}'
    assert SOURCES["mixpanel"].parse(text, 1, "t").id == "0.10000000000000000555"


def test_an_empty_batch_is_accepted(alice: Person) -> None:
    assert post(alice, "/v1/batch", {"batch": []}, headers=alice.headers).status_code == 200


@pytest.mark.parametrize("body", [{}, {"writeKey": "wrong"}, {"writeKey": "wröng"}])
def test_a_request_without_a_valid_key_gets_401(alice: Person, body: dict[str, str]) -> None:
    response = post(alice, "/v1/batch", {"batch": [TRACK], **body})
    assert response.status_code == 401
    assert errors_of(response)["message"]


def test_a_key_must_have_the_scope_to_write(person: Callable[..., Person]) -> None:
    reader = person("reader", "shop", scopes=["read"])
    for response in (
        post(reader, "/v1/batch", {"batch": [TRACK]}, headers=reader.headers),
        post(reader, "/v1/batch", {"batch": [TRACK], "writeKey": key_of(reader)}),
    ):
        assert response.status_code == 403
        assert errors_of(response)["code"] == "forbidden"
    assert reader.client.get("/v1/batch").status_code == 405


def test_a_limited_key_records_only_its_events_and_blocks_no_other_message(
    person: Callable[..., Person], alice: Person
) -> None:
    bound = '{"name":["page"]}'
    page = {"type": "page", "userId": "u", "messageId": "ajs-1"}
    limited = person("limited", "shop", scopes=["write"], bound=bound)
    assert post(limited, "/v1/batch", {"batch": [page]}, headers=limited.headers).status_code == 200
    batch = [{}, page, TRACK, {}, TRACK]
    response = post(limited, "/v1/batch", {"batch": batch}, headers=limited.headers)
    assert response.status_code == 403
    refused = errors_of(response)
    assert refused["code"] == "forbidden"
    assert refused["message"].count("#/") == 2
    assert "#/2: " in refused["message"]
    assert "#/4: " in refused["message"]
    assert post(alice, "/v1/batch", {"batch": [TRACK]}, headers=alice.headers).status_code == 200
    assert {event["name"] for event in alice.events()} == {"page", "Order Completed"}


def test_a_body_without_a_key_in_the_header_may_not_be_large(alice: Person) -> None:
    batch = [{**TRACK, "messageId": str(n), "text": "x" * 1000} for n in range(600)]
    body = json.dumps({"batch": batch, "writeKey": key_of(alice)}).encode()
    assert len(body) > MAX_BATCH_BYTES
    assert post(alice, "/v1/batch", body).status_code == 413
    small = gzip.compress(body)
    assert post(alice, "/v1/batch", small, headers={"Content-Encoding": "gzip"}).status_code == 413
    assert post(alice, "/v1/batch", body, auth=(key_of(alice), "")).status_code == 200


def test_no_format_is_on_in_an_application_by_default(app: Flask) -> None:
    off = create_app({}, app.instance_path).test_client()
    assert off.post("/v1/batch", json={}).status_code == 404
    assert app.test_client().post("/v1/batch", json={}).status_code == 401


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"cloudevents"}))
def test_each_format_can_be_turned_on_alone(app: Flask, name: str) -> None:
    alone = create_app({"BYTELOG_INTAKE": name}, app.instance_path)
    rules = {rule.rule for rule in create_app({}, app.instance_path).url_map.iter_rules()}
    assert {rule.rule for rule in alone.url_map.iter_rules()} > rules


def test_a_browser_may_send_messages_from_a_named_origin(app: Flask) -> None:
    settings = {"BYTELOG_INTAKE": "segment", "BYTELOG_CORS_ORIGINS": "https://shop.example"}
    client = create_app(settings, app.instance_path).test_client()
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    response = client.options("/v1/t", headers=headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Headers"] == "authorization"
