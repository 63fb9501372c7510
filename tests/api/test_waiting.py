from __future__ import annotations

import json
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.listings import MANY, start_listing
from support.server import Response, Server, wait_for
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.api.reader_slots import slots_of
from bytelog.auth import keys
from bytelog.events.store import POLL_SECONDS
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

ARRIVAL = f"{EVENTS}?order=arrival"


class Waiter(threading.Thread):
    """A client that sends a request and records the response and its duration in seconds."""

    def __init__(self, server: Server, address: str) -> None:
        super().__init__()
        self._server, self._address = server, address
        self.response: Response | None = None
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        self.response = self._server.request(self._address)
        self.seconds = time.monotonic() - began

    def events(self) -> list[dict[str, Any]]:
        self.join(40)
        assert self.response
        assert self.response.status == 200
        return list(json.loads(self.response.body)["events"])


def post(server: Server, **changes: Any) -> None:
    assert server.request(EVENTS, json.dumps({**CLICK, **changes}).encode()).status == 201


def following(server: Server, response: Response) -> str:
    reference = response.headers["Link"].partition(">")[0].removeprefix("<")
    return str(urljoin(f"{server.url}{EVENTS}", reference)).removeprefix(server.url)


def start_waiting(server: Server) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 20)
    request = f"GET {ARRIVAL}&name=none&wait=30 HTTP/1.1\r\nHost: x\r\n"
    peer.sendall(f"{request}Authorization: Bearer {server.key}\r\n\r\n".encode())
    return peer


@contextmanager
def all_slots_taken(server: Server, slots: int) -> Iterator[None]:
    with ExitStack() as peers:
        waiting_clients = [peers.enter_context(start_waiting(server)) for _ in range(slots + 1)]
        refused, _, _ = select.select(waiting_clients, [], [], 10)
        assert len(refused) == 1
        assert refused[0].recv(1000).startswith(b"HTTP/1.1 503")
        yield


def is_full(server: Server) -> bool:
    return server.request(f"{ARRIVAL}&wait=1&name=none").status == 503


@pytest.mark.parametrize("path", ["?order=arrival&", "/trace/03775690?order=arrival&", "?"])
def test_a_request_waits_until_an_event_arrives(server: Server, path: str) -> None:
    seconds = []
    for number in range(3):
        waiter = Waiter(server, f"{EVENTS}{path}wait=20&id={number}")
        time.sleep(POLL_SECONDS / 2)
        assert waiter.is_alive()
        stored = time.monotonic()
        post(server, id=number)
        assert waiter.events() == [{**CLICK, "id": number}]
        seconds.append(time.monotonic() - stored)
    assert max(seconds) < 1
    assert min(seconds) < POLL_SECONDS / 4


def test_a_request_with_matching_events_does_not_wait(server: Server) -> None:
    post(server)
    for address, events in ((f"{ARRIVAL}&wait=20", [CLICK]), (f"{ARRIVAL}&wait=0&name=none", [])):
        waiter = Waiter(server, address)
        assert waiter.events() == events
        assert waiter.seconds < 5


def test_a_request_that_times_out_gets_an_empty_page_and_a_next_link(server: Server) -> None:
    post(server, name="other")
    waiter = Waiter(server, f"{ARRIVAL}&wait=1&name=click")
    assert waiter.events() == []
    assert 1 <= waiter.seconds < 3
    assert waiter.response
    step = following(server, waiter.response)
    post(server, id=2, date="1999-12-31")
    assert [event["id"] for event in Waiter(server, step).events()] == [2]


def test_an_event_stored_by_another_process_ends_the_wait(server: Server) -> None:
    other = create_app(instance_path=server.folder / "data")
    waiter = Waiter(server, f"{ARRIVAL}&wait=20")
    time.sleep(POLL_SECONDS / 2)
    stored = time.monotonic()
    with other.app_context():
        current_writer().append([(1, 7, "import", "t", "2021-08-15T23:41:41.507Z", "{}")])
    assert [event["id"] for event in waiter.events()] == [7]
    assert time.monotonic() - stored < 1 + POLL_SECONDS


def test_an_event_that_does_not_match_does_not_end_the_wait(server: Server) -> None:
    filters = ("name=buy", "data.a.b=1", "trace_id=x", "start=2030-01-01")
    waiter = Waiter(server, f"{ARRIVAL}&wait=20&{'&'.join(filters)}")
    matching = {"name": "buy", "data": {"a": {"b": 1}}, "trace_id": "x", "date": "2030-01-01"}
    for name in matching:
        post(server, **{**matching, name: CLICK[name]})
        time.sleep(0.05)
    assert waiter.is_alive()
    post(server, **matching, id=9)
    assert [event["id"] for event in waiter.events()] == [9]


def test_an_event_of_another_project_does_not_end_the_wait(
    app: Flask, alice: Person, bob: Person
) -> None:
    events: list[object] = []
    waiter = threading.Thread(target=lambda: events.extend(alice.events("?order=arrival&wait=1")))
    waiter.start()
    while waiter.is_alive():
        bob.post(CLICK)
    assert events == []
    waiter.join()


def test_a_waiting_client_above_the_limit_gets_503_and_short_requests_succeed(
    serve: Callable[..., Server],
) -> None:
    server = serve("--threads", "4", BYTELOG_API_KEY=Server.key)
    address = f"{ARRIVAL}&wait=20&name=end"
    clients = [Waiter(server, address) for _ in range(20)]
    wait_for(lambda: sum(client.is_alive() for client in clients) == 2)
    waiting_clients = [client for client in clients if client.is_alive()]
    for client in clients:
        if client.response:
            assert (client.response.status, client.response.headers["Retry-After"]) == (503, "1")
    began = time.monotonic()
    for _ in range(10):
        post(server)
        assert server.request("/healthz").status == 200
        assert server.request(f"{EVENTS}?limit=1").status == 200
        assert server.request(f"{ARRIVAL}&wait=20&limit=1").status == 200
    assert time.monotonic() - began < 5
    post(server, name="end")
    assert [event["name"] for client in waiting_clients for event in client.events()] == [
        "end",
        "end",
    ]


def test_waiting_clients_take_at_most_half_of_the_slots(serve: Callable[..., Server]) -> None:
    server = serve("--threads", "2", BYTELOG_API_KEY=Server.key, events=MANY)
    with all_slots_taken(server, 1):
        assert json.loads(server.request(EVENTS).body)["count"] == MANY
        with start_listing(server):
            assert server.request(EVENTS).status == 503
            assert server.request(f"{EVENTS}?limit=2000").status == 200


@pytest.mark.slow
def test_a_waiting_client_that_disconnects_frees_its_slot(serve: Callable[..., Server]) -> None:
    server = serve("--threads", "1", BYTELOG_API_KEY=Server.key)
    for _ in range(3):
        with all_slots_taken(server, 1):
            assert is_full(server)
        wait_for(lambda: not is_full(server), seconds=5)


def test_a_request_pipelined_behind_a_waiting_one_is_served(server: Server) -> None:
    with start_waiting(server) as peer:
        time.sleep(POLL_SECONDS)
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(2 * POLL_SECONDS)
        post(server, name="none")
        responses = b"".join(iter(partial(peer.recv, 65536), b""))
    assert responses.count(b"HTTP/1.1 200 OK") == 2


def test_waiting_clients_do_not_delay_a_stop(server: Server) -> None:
    waiters = [Waiter(server, f"{ARRIVAL}&wait=30") for _ in range(3)]
    time.sleep(POLL_SECONDS)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 4
    assert [waiter.events() for waiter in waiters] == [[], [], []]
    assert all(waiter.response and "Link" in waiter.response.headers for waiter in waiters)


@pytest.mark.slow
def test_a_client_that_follows_arrivals_sees_each_event_once_and_in_order(server: Server) -> None:
    number, writers = 60, 4
    step, seen = f"{ARRIVAL}&limit=7&wait=5", list[str]()

    def write(writer: int) -> None:
        for i in range(number):
            event = {"trace_id": f"{writer}-{i}", "date": f"20{random.randrange(10, 30)}-01-01"}
            if i % 3:
                post(server, **event)
            else:
                batch = [{**CLICK, **event, "id": n} for n in range(3)]
                assert server.request(EVENTS, json.dumps(batch).encode()).status == 201

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    while len(seen) < writers * (number + 2 * number // 3):
        response = server.request(step)
        events = [
            f"{event['trace_id']}.{event['id']}" for event in json.loads(response.body)["events"]
        ]
        assert events
        seen += events
        step = following(server, response)
    for thread in threads:
        thread.join()
    whole = json.loads(server.request(ARRIVAL).body)["events"]
    assert seen == [f"{event['trace_id']}.{event['id']}" for event in whole]


def test_a_client_that_starts_at_the_end_gets_only_new_events(alice: Person) -> None:
    alice.post({**CLICK, "id": 1})
    at_the_end = alice.get("?order=arrival&limit=5&cursor=end")
    assert at_the_end.json == {"count": 0, "events": []}
    alice.post({**CLICK, "id": 2})
    following = at_the_end.headers["Link"].partition("<")[2].partition(">")[0]
    assert [event["id"] for event in alice.events(following)] == [2]


def test_a_key_revoked_during_the_wait_reads_nothing(app: Flask, alice: Person) -> None:
    with app.app_context():
        other = Person(app.test_client(), keys.create("other", "shop"))
    responses: list[TestResponse] = []
    waiter = threading.Thread(target=lambda: responses.append(alice.get("?wait=20")))
    waiter.start()
    wait_for(lambda: slots_of(app).in_use)
    with app.app_context():
        keys.revoke("alice")
    wait_for(lambda: alice.get().status_code == 401)
    assert other.post(CLICK).status_code == 201
    waiter.join(20)
    assert [response.status_code for response in responses] == [401]
