from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.server import Server, wait_for
from support.streams import ACCEPT, Block, open_stream, read_blocks, read_events

from bytelog import create_app
from bytelog.api import streams
from bytelog.api.reader_slots import slots_of
from bytelog.auth import keys
from bytelog.config import STREAMS
from bytelog.queries import arrivals
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

ROW = (1, 7, "import", "t", "2021-08-15T23:41:41.507Z", "{}")


def post(server: Server, *events: dict[str, Any]) -> None:
    body = json.dumps([{**CLICK, **event} for event in events]).encode()
    assert server.request(EVENTS, body).status == 201


def ids(blocks: Iterable[Block]) -> list[int]:
    return [block.event["id"] for block in blocks if block.event]


@contextmanager
def stream(person: Person, query: str = "", **headers: str) -> Iterator[Iterator[bytes]]:
    """Yield the lines of a stream of an application in this process."""
    sent = {**person.headers, "Accept": ACCEPT, **headers}
    response = person.client.get(EVENTS + query, headers=sent, buffered=False)
    assert response.status_code == 200, response.text
    yield (line for part in response.iter_encoded() for line in part.splitlines(keepends=True))
    response.close()


def cursor(person: Person, query: str) -> str:
    return person.get(query).headers["Link"].partition("cursor=")[2].partition(">")[0]


def test_events_arrive_at_once_and_a_client_continues_after_the_last_one(server: Server) -> None:
    post(server, {"id": 0})
    with open_stream(server, "?name=click&data.n[gte]=1") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith(ACCEPT)
        assert response.headers["X-Accel-Buffering"] == "no"
        assert next(read_blocks(response)).event is None
        started = time.monotonic()
        post(server, {"id": 1, "data": {"n": 1}}, {"id": 2, "name": "other"}, {"id": 3})
        post(server, {"id": 4, "data": {"n": 2, "text": "a\nü\r"}})
        blocks = read_events(response, 2)
        assert time.monotonic() - started < 3
    assert blocks[0].event == {**CLICK, "data": {"n": 1}}
    assert blocks[1].event == {**CLICK, "id": 4, "data": {"n": 2, "text": "a\nü\r"}}
    post(server, {"id": 5})
    with open_stream(server, Last_Event_ID=blocks[0].id) as response:
        assert ids(read_events(response, 4)) == [2, 3, 4, 5]
    listing = server.request(f"{EVENTS}?order=arrival&cursor={blocks[1].id}")
    assert [event["id"] for event in json.loads(listing.body)["events"]] == [5]


def test_an_event_stored_by_another_process_arrives_and_a_revoked_key_ends_the_stream(
    server: Server,
) -> None:
    other = create_app(instance_path=server.folder / "data")
    with other.app_context():
        key = keys.create("reader", "default", ["read"])
        with open_stream(server, Authorization=f"Bearer {key}") as response:
            next(read_blocks(response))
            current_writer().append([ROW])
            assert ids(read_events(response, 1)) == [7]
            keys.revoke("reader")
            revoked = time.monotonic()
            assert list(read_blocks(response)) == []
            assert time.monotonic() - revoked < 1.2


def test_streams_take_no_slot_of_other_readers_and_are_limited(server: Server) -> None:
    with ExitStack() as stack:
        responses = [stack.enter_context(open_stream(server)) for _ in range(STREAMS + 1)]
        *opened, refused = responses
        assert {response.status for response in opened} == {200}
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert server.request(f"{EVENTS}?order=arrival&wait=1").status == 200
        post(server, {"id": 1})
        assert [ids(read_events(response, 1)) for response in opened] == [[1]] * STREAMS
        opened[0].close()

        def opens_again() -> bool:
            return stack.enter_context(open_stream(server)).status == 200

        wait_for(opens_again, seconds=5)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 4
        assert list(read_blocks(opened[1])) == []


def test_a_stream_catches_up_in_order_over_pages_and_restarts(
    alice: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_EVENTS", 7)
    monkeypatch.setattr(arrivals, "MAX_EXAMINED_KEYS", 20)
    alice.post({**CLICK, "id": 0})
    beginning = cursor(alice, "?order=arrival&limit=1")
    alice.post([{**CLICK, "id": number, "name": f"n{number % 5}"} for number in range(1, 61)])
    with create_app(app.config, app.instance_path).app_context():  # A new epoch.
        current_writer().append([(2, *ROW[1:])])
    alice.post({**CLICK, "id": 61, "name": "n1"})
    with stream(alice, f"?name=n1&cursor={beginning}") as lines:
        blocks = read_events(lines, 13)
    assert ids(blocks) == [*range(1, 61, 5), 61]
    for block in (blocks[3], blocks[-2]):
        with stream(alice, "?cursor=end", **{streams.HEADER: block.id}) as lines:
            following = read_events(lines, 1)
        assert ids(following) == ([17] if block is blocks[3] else [57])


def test_an_event_between_two_connections_is_not_lost(alice: Person) -> None:
    alice.post(CLICK)
    with stream(alice) as lines:
        block = next(read_blocks(lines))
    while not block.id:
        with stream(alice) as lines:
            blocks = read_blocks(lines)
            block = [next(blocks), next(blocks)][-1]
    alice.post({**CLICK, "id": 2})
    with stream(alice, **{streams.HEADER: block.id}) as lines:
        assert ids(read_events(lines, 1)) == [2]


def test_a_silent_stream_sends_comments_with_the_position(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0)
    with stream(alice, "?name=none") as lines:
        blocks = read_blocks(lines)
        beginning = [next(blocks).id for _ in range(3)]
        alice.post(CLICK)
        wait_for(lambda: next(blocks).id != beginning[-1])


def test_a_stream_sees_only_its_project(alice: Person, bob: Person) -> None:
    with stream(alice) as lines:
        next(read_blocks(lines))
        bob.post({**CLICK, "id": 1})
        alice.post({**CLICK, "id": 2})
        assert ids(read_events(lines, 1)) == [2]


@pytest.mark.parametrize("query", ["limit=1", "wait=1", "order=date", "cursor=x", "nothing=1"])
def test_parameters_that_a_stream_does_not_have_are_refused(alice: Person, query: str) -> None:
    assert alice.get(f"?{query}", Accept=ACCEPT).status_code == 400


def test_a_lost_cursor_is_gone_before_the_stream_starts(alice: Person) -> None:
    alice.post(CLICK)
    lost = cursor(alice, "?order=arrival&limit=1")[:-8] + "aaaaaaaa"
    response = alice.get("", Accept=ACCEPT, **{streams.HEADER: lost})
    assert response.status_code == 410


def test_a_client_that_prefers_json_or_only_asks_for_headers_gets_no_stream(
    alice: Person, app: Flask
) -> None:
    alice.post(CLICK)
    assert alice.events() == [CLICK]
    accept = f"application/json, {ACCEPT}"
    assert alice.get(Accept=accept).json == {"count": 1, "events": [CLICK]}
    headers = {**alice.headers, "Accept": ACCEPT}
    with alice.client.head(EVENTS, headers=headers) as response:
        assert (response.mimetype, response.data) == (ACCEPT, b"")
    assert slots_of(app).streams == 0
