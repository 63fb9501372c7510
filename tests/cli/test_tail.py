from __future__ import annotations

import json
import os
import pty
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from support.following import PIPES, Following, close_output
from support.history import make_history
from support.server import Server, wait_for

from bytelog.queries import listing
from bytelog.queries.formats import LINES
from bytelog.queries.selection import Selection
from bytelog.storage.database import db
from bytelog.storage.keyset import Order
from bytelog.storage.reader import Reader


@contextmanager
def tailing(server: Server, *arguments: str) -> Iterator[Following]:
    bytelog = Bytelog(server.folder / "data")
    tail = Following(bytelog.start("tail", *arguments, **PIPES))
    try:
        yield tail
        tail.finish()
    finally:
        tail.process.kill()


def post(server: Server, number: int, **changes: Any) -> None:
    event = {**CLICK, "id": number, **changes}
    assert server.request(EVENTS, json.dumps(event).encode()).status == 201


@contextmanager
def posting(server: Server) -> Iterator[None]:
    """Post events with different ids, dated by the server, from several threads."""
    numbers, stopping = count(1), threading.Event()

    def post_events() -> None:
        while not stopping.is_set():
            event = {"id": next(numbers), "name": "n", "trace_id": "t"}
            assert server.request(EVENTS, json.dumps(event).encode()).status == 201

    with ThreadPoolExecutor(4) as pool:
        posts = [pool.submit(post_events) for _ in range(4)]
        try:
            yield
        finally:
            stopping.set()
    for done in posts:
        done.result()


def test_the_last_ten_events_are_shown_and_then_those_that_arrive(server: Server) -> None:
    for number in range(12):
        post(server, number)
    with tailing(server) as tail:
        wait_for(lambda: len(tail.lines) == 10)
        assert tail.ids == [*range(2, 12)]
        post(server, 12)
        wait_for(lambda: len(tail.lines) == 11)
        post(server, 13, date="2001-01-01")
        post(server, 14)
        wait_for(lambda: len(tail.lines) == 13)
        assert tail.ids == [*range(2, 15)]


def test_only_events_that_match_are_shown(server: Server) -> None:
    for number in range(4):
        post(server, number, data={"amount": number})
    with tailing(server, "data.amount[gte]=1", "limit=2") as tail:
        wait_for(lambda: len(tail.lines) == 2)
        post(server, 4, data={})
        post(server, 5, data={"amount": 5})
        wait_for(lambda: len(tail.lines) == 3)
        assert tail.ids == [2, 3, 5]


def test_without_earlier_events_arrivals_are_shown_as_csv_with_one_heading(server: Server) -> None:
    post(server, 1)
    with tailing(server, "limit=0", "--format", "csv") as tail:
        wait_for(lambda: tail.lines)
        post(server, 2, data={})
        wait_for(lambda: len(tail.lines) == 2)
        post(server, 3, data={})
        wait_for(lambda: len(tail.lines) == 3)
        assert tail.lines == [
            "id,name,trace_id,date,data\r\n",
            '2,"click","03775690",2021-08-15T23:41:41.507Z,"{}"\r\n',
            '3,"click","03775690",2021-08-15T23:41:41.507Z,"{}"\r\n',
        ]


@pytest.mark.slow
@pytest.mark.each_database
def test_no_event_is_missed_or_repeated_while_others_arrive(server: Server) -> None:
    with ExitStack() as stack:
        with posting(server):
            wait_for(lambda: listed(server)[20:])
            tails = [stack.enter_context(tailing(server)) for _ in range(3)]
            wait_for(lambda: all(len(tail.lines) > 100 for tail in tails))
        events = listed(server)
        last = events[-1]["id"]
        wait_for(lambda: all(tail.ids[-1] == last for tail in tails))
    for tail in tails:
        following = tail.ids[10:]
        earlier = events[: len(events) - len(following)]
        latest = sorted(earlier, key=lambda event: str(event["date"]))[-10:]
        assert following == [event["id"] for event in events[len(earlier) :]]
        assert tail.ids[:10] == [event["id"] for event in latest]


def listed(server: Server) -> list[dict[str, Any]]:
    """Return all events in the order of their arrival."""
    events: list[dict[str, Any]] = json.loads(server.request(f"{EVENTS}?order=arrival").body)[
        "events"
    ]
    return events


def test_a_listing_up_to_a_key_does_not_contain_later_arrivals(app: Flask, alice: Person) -> None:
    for number in range(1, 5):
        assert alice.post({**CLICK, "id": number}).status_code == 201
    selection = Selection(2, order=Order.NEWEST)
    with app.app_context():
        page = listing.read_page(Reader(db.engine), selection, LINES, 2, up_to=3)
        lines = b"".join(LINES.write(page.count, page.pages)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [3, 2]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_server_is_survived(server: Server, number: int) -> None:
    post(server, 1)
    with tailing(server) as tail:
        wait_for(lambda: tail.ids == [1])
        post(server, 2)
        wait_for(lambda: tail.ids == [1, 2])
        server.stop(number)
        server.start()
        post(server, 3)
        wait_for(lambda: tail.ids == [1, 2, 3])


@pytest.mark.parametrize("has_arrivals", [True, False])
def test_a_closed_pipe_ends_the_command_without_an_error(
    server: Server, has_arrivals: bool
) -> None:
    post(server, 1)
    with Bytelog(server.folder / "data").start("tail", **PIPES) as process:
        close_output(process, partial(post, server, 2) if has_arrivals else None)


def test_a_terminal_shows_one_table_and_ctrl_c_ends_it(server: Server) -> None:
    bytelog = Bytelog(server.folder / "data")
    bytelog.environment |= {"COLUMNS": "60", "NO_COLOR": "1"}
    terminal, end = pty.openpty()
    with bytelog.start("tail", stdout=end, stderr=end) as process:
        os.close(end)
        shown = ""
        for number, name in enumerate(("click", "\x1b[31m", "a_name_that_is_longer")):
            post(server, number, name=name)
            while shown.count("\n") < number + 2:
                shown += os.read(terminal, 65536).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    os.close(terminal)
    heading, *lines = shown.splitlines()
    assert heading.split() == ["DATE", "NAME", "TRACE_ID", "ID", "DATA"]
    assert [line.split()[1] for line in lines] == ["click", r"\u001b[3…", "a_name_t…"]
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert "\x1b" not in shown


@pytest.mark.parametrize("parameter", ["order=newest", "cursor=end", "wait=1"])
def test_a_parameter_that_contradicts_following_is_refused(tmp_path: Path, parameter: str) -> None:
    make_history(tmp_path / "data", 1)
    errors = Bytelog(tmp_path / "data").refuse("tail", parameter, status=2)
    assert re.search(rf"Error: {parameter.partition('=')[0]}: Unknown field\.\n", errors)
