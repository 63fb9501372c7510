from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from support.api import CLICK, EVENTS, Person
from support.server import Server

pytestmark = pytest.mark.each_database


def trace(person: Person, trace_id: str) -> list[int]:
    path = f"{EVENTS}/trace/{quote(trace_id, safe='')}"
    response = person.client.get(path, headers=person.headers)
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["count"] == len(response.json["events"])
    return [event["id"] for event in response.json["events"]]


def test_a_trace_contains_only_its_events_in_order(alice: Person) -> None:
    for id_, trace_id, date in [
        (1, "03775690", "2021-08-15T23:45:45Z"),
        (2, "03775690", "2021-08-15T23:45:41Z"),
        (3, "0377569", "2021-08-15T23:45:42Z"),
        (4, "03775690", "2021-08-15T23:45:41Z"),
    ]:
        alice.post({**CLICK, "id": id_, "trace_id": trace_id, "date": date})
    assert trace(alice, "03775690") == [2, 4, 1]


def test_an_unknown_trace_is_empty(alice: Person) -> None:
    assert trace(alice, "nothing") == []


@pytest.mark.parametrize(
    "trace_id",
    [
        "a/b",
        "/a//b/",
        "100%",
        "%2F",
        "what?",
        "a#b",
        "a b ",
        "a+b",
        "a\nb",
        "..;a",
        "ключ",
        "😀",
        "a&b=c",
        '"',
        "\\",
        "t" * 255,
        "漢" * 255,
    ],
)
def test_a_trace_id_may_contain_any_character(alice: Person, trace_id: str) -> None:
    assert alice.post({**CLICK, "trace_id": trace_id}).status_code == 201
    assert trace(alice, trace_id) == [1]


@pytest.mark.before_database
def test_a_trace_id_that_is_not_utf_8_is_rejected_and_finds_no_other(server: Server) -> None:
    event = {**CLICK, "trace_id": "\ufffd"}
    assert server.request(EVENTS, json.dumps(event).encode()).status == 201
    assert json.loads(server.request(f"{EVENTS}/trace/%EF%BF%BD").body)["events"] == [event]
    assert server.request(f"{EVENTS}/trace/%FF").status == 400


@pytest.mark.before_database
def test_the_trace_endpoint_accepts_no_trace_id_parameter(alice: Person) -> None:
    response = alice.client.get(f"{EVENTS}/trace/1?trace_id=2", headers=alice.headers)
    assert response.status_code == 400
