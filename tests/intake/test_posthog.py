from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import Person
from werkzeug.test import TestResponse

from bytelog import create_app

MESSAGE = {
    "event": "Order Completed",
    "distinct_id": "user-7",
    "uuid": "018f7a3e-0000-7000-8000-000000000001",
    "timestamp": "2021-08-15T23:41:41.507Z",
    "properties": {"total": 59.9, "$session_id": "session-3"},
}


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    return create_app({"TESTING": True, "BYTELOG_INTAKE": "posthog"}, tmp_path / "instance")


def post(person: Person, path: str, **members: Any) -> TestResponse:
    key = person.headers["Authorization"].removeprefix("Bearer ")
    return person.client.post(path, json={"api_key": key, **members})


def test_a_message_becomes_an_event_and_is_stored_once(alice: Person) -> None:
    for sent_at in ("first", "again"):
        response = post(alice, "/batch/", batch=[MESSAGE], sent_at=sent_at)
        assert (response.status_code, response.json) == (200, {"status": 1})
    (event,) = alice.events()
    assert event["name"] == "Order Completed"
    assert event["trace_id"] == "session-3"
    assert event["date"] == "2021-08-15T23:41:41.507Z"
    kept = {name: MESSAGE[name] for name in ("distinct_id", "uuid", "properties")}
    assert event["data"] == kept


def test_there_are_no_feature_flags(alice: Person) -> None:
    response = post(alice, "/flags/?v=4", distinct_id="user-7")
    assert (response.status_code, response.json) == (200, {})


def test_errors_have_the_shape_that_the_sdk_reads(alice: Person) -> None:
    invalid = post(alice, "/batch/", batch=[{}])
    assert (invalid.status_code, invalid.json) == (
        400,
        {
            "type": "validation_error",
            "code": "bad_request",
            "detail": "#/0/name: Missing data for required field.",
            "attr": None,
        },
    )
    refused = post(alice, "/batch/", batch=[MESSAGE], api_key="wrong")
    assert refused.status_code == 401
    assert json.loads(refused.text)["type"] == "authentication_error"
    assert alice.events() == []
