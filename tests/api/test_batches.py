from __future__ import annotations

import gzip
import json
import random
import signal
import threading
import time
import urllib.error
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS, Person
from support.batches import JSON, LINES, clicks, problems, send, written
from support.dying_server import post_to_dying_server
from support.server import Server

from bytelog import create_app
from bytelog.config import MAX_BODY_BYTES, MAX_REPORTED_ERRORS, SetupError
from bytelog.queries.formats import LINES_TYPES

pytestmark = pytest.mark.each_database


@pytest.mark.parametrize("kind", [JSON, "text/plain;charset=UTF-8", *LINES_TYPES])
def test_a_batch_is_stored_in_its_order(alice: Person, kind: str) -> None:
    sent = clicks(1234)
    random.shuffle(sent)
    body = written(LINES if kind in LINES_TYPES else JSON, *sent)
    for written_type in (kind, f"{kind.upper()} ; charset=UTF-8"):
        response = send(alice, body, written_type, Idempotency_Key="a")
        assert (response.status_code, response.data) == (201, b"")
    assert alice.events("?order=arrival") == sent


@pytest.mark.parametrize("kind", [JSON, LINES])
def test_one_invalid_event_rejects_the_batch_and_each_bad_field_is_named(
    alice: Person, kind: str
) -> None:
    good, bad = CLICK, {**CLICK, "name": "", "date": "soon", "a/b~c": 1}
    response = send(alice, written(kind, good, bad, 7, good, "null", {}, good), kind)
    named = {"#/1/name", "#/1/date", "#/1/a~1b~0c", "#/2", "#/4", "#/5/id", "#/5/name"}
    assert set(problems(response)) == named | {"#/5/trace_id"}
    assert alice.events() == []


@pytest.mark.before_database
@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"id":2}',
        '{"id":NaN}',
        '{"id":1e999}',
        '{"data":{"a":"\\ud800"}}',
        '{"id":1',
        '{"data":' + '{"a":' * 65 + "1" + "}" * 66,
        '{"data":{"a":' + "[" * 100_000,
    ],
)
def test_an_event_that_is_not_i_json_is_named_by_its_index(alice: Person, text: str) -> None:
    for kind in (JSON, LINES):
        assert "#/2" in problems(send(alice, written(kind, CLICK, CLICK, text, CLICK), kind))
    assert alice.events() == []


@pytest.mark.before_database
def test_at_most_100_problems_of_a_batch_are_reported(alice: Person) -> None:
    many, began = written(LINES, *[{str(i): 1 for i in range(500)}] * 2000), time.monotonic()
    assert len(problems(send(alice, many, LINES))) == MAX_REPORTED_ERRORS
    assert time.monotonic() - began < 2


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("kind", "body"),
    [(JSON, b"[]"), (JSON, b" [\n] "), (LINES, b""), (LINES, b"\n"), (LINES, b" \r\n\t\n\n")],
)
def test_an_empty_batch_is_rejected(alice: Person, kind: str, body: bytes) -> None:
    assert problems(send(alice, body, kind)) == ["#"]


@pytest.mark.before_database
@pytest.mark.parametrize("body", ["[", "[%", "[,%]", "[%,]", "[%]]", "[%] x", "[% %]", "[%}", "%%"])
def test_an_array_that_is_not_json_is_rejected(alice: Person, body: str) -> None:
    text = body.replace("%", json.dumps(CLICK)).encode()
    assert problems(send(alice, text))
    assert problems(send(alice, b"[" * 100_000 + text)) != []
    assert alice.events() == []


def test_lines_may_have_any_line_end_and_any_text(alice: Person) -> None:
    sent = clicks(4, name="a\u2028b\u2029c\x85d\x0be\x0c")
    texts = [json.dumps(event, ensure_ascii=False, separators=(",\r", ": ")) for event in sent]
    first, second, third, last = texts
    body = f"\r\n{first}\r\n\n  \n\t{second} \n{third}\r\n{last}"
    assert send(alice, body.encode(), f"{LINES}; charset=utf-8").status_code == 201
    assert alice.events("?order=arrival") == sent


@pytest.mark.before_database
def test_the_limits_are_configurable(tmp_path: Path) -> None:
    few = {"BYTELOG_BATCH_EVENTS": "3", "BYTELOG_BATCH_BYTES": 2000, "BYTELOG_API_KEY": "k"}
    alice = Person(create_app(few, tmp_path).test_client(), "k")
    for kind in (JSON, LINES):
        assert send(alice, written(kind, *clicks(3)), kind).status_code == 201
        assert send(alice, written(kind, *clicks(4)), kind).status_code == 413
        body = written(kind, *clicks(2)).ljust(2000)
        for coded in (bytes, gzip.compress):
            encoding = {"Content_Encoding": "identity" if coded is bytes else "gzip"}
            assert send(alice, coded(body), kind, **encoding).status_code == 201
            assert send(alice, coded(body + b" "), kind, **encoding).status_code == 413
    for wrong in ("0", "-1", "many", "1.5", 0.5):
        with pytest.raises(SetupError, match="whole number"):
            create_app({"BYTELOG_BATCH_EVENTS": wrong}, tmp_path)


@pytest.mark.parametrize("letter", ["x", "é", "漢", "😀"])
def test_an_event_is_limited_to_a_mebibyte_alone_and_in_a_batch(alice: Person, letter: str) -> None:
    empty = {**CLICK, "data": {"text": ""}}
    room = MAX_BODY_BYTES - len(json.dumps(empty))
    for kind, fitting in [(JSON, 0), (LINES, 0), (JSON, 1), (LINES, 1)]:
        text = letter * (room // len(letter.encode()) + 1 - fitting)
        event = json.dumps({**CLICK, "data": {"text": text}}, ensure_ascii=False)
        response = send(alice, written(kind, CLICK, event), kind)
        if fitting:
            assert response.status_code == 201
        else:
            assert problems(response) == ["#/1"]
    assert send(alice, event.encode()).status_code == 201
    assert send(alice, event.encode().ljust(MAX_BODY_BYTES + 1)).status_code == 413
    assert len(alice.events()) == 5


def test_a_repeated_batch_is_stored_once_and_completely(alice: Person) -> None:
    body = written(JSON, *clicks(700))
    for coding in ("identity", "gzip", "identity"):
        packed = gzip.compress(body) if coding == "gzip" else body
        response = send(alice, packed, Content_Encoding=coding, Idempotency_Key="a")
        assert response.status_code == 201
    other = written(JSON, *clicks(701))
    assert send(alice, other, Idempotency_Key="a").status_code == 422
    bad = written(JSON, *clicks(3), {})
    assert send(alice, bad, Idempotency_Key="b").status_code == 400
    assert send(alice, other, Idempotency_Key="b").status_code == 201
    assert alice.events("?order=arrival") == clicks(700) + clicks(701)


@pytest.mark.slow
def test_a_batch_is_stored_once_when_the_server_is_killed_before_the_response(
    serve: Callable[..., Server],
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key)
    body = written(JSON, *clicks(1500))
    post_to_dying_server(server, body, "a")
    assert server.request(EVENTS, body, Idempotency_Key="a").status == 201
    assert json.loads(server.request(EVENTS).body)["events"] == clicks(1500)


@pytest.mark.slow
def test_batches_of_many_clients_are_complete_after_the_server_is_killed(server: Server) -> None:
    sizes, acknowledged = (1, 7, 40, 600), dict[str, int]()

    def write_until_killed(size: int, round_: int) -> None:
        for number in range(100_000):
            trace_id = f"{size}-{round_}-{number}"
            events = clicks(size, trace_id=trace_id)
            body = written(JSON, *events) if size > 1 else json.dumps(events[0]).encode()
            try:
                if server.request(EVENTS, body).status == 201:
                    acknowledged[trace_id] = size
            except (urllib.error.URLError, ConnectionError, HTTPException):
                return

    for round_ in range(3):
        writers = [threading.Thread(target=write_until_killed, args=(s, round_)) for s in sizes]
        for thread in writers:
            thread.start()
        time.sleep(random.uniform(0.2, 0.6))
        server.stop(signal.SIGKILL)
        for thread in writers:
            thread.join()
        server.start()
    stored: dict[str, list[int]] = {}
    for event in json.loads(server.request(f"{EVENTS}?order=arrival").body)["events"]:
        stored.setdefault(event["trace_id"], []).append(event["id"])
    assert all(
        ids == list(range(int(batch_name.split("-")[0]))) for batch_name, ids in stored.items()
    )
    assert acknowledged.keys() <= stored.keys()
    assert len(stored) <= len(acknowledged) + 3 * len(sizes)
    assert len(acknowledged) > 12
