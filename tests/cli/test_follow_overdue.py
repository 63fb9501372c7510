from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.api import EVENTS
from support.commands import Bytelog
from support.following import PIPES, Following
from support.history import make_history
from support.receiver import SECRET, Receiver
from support.server import Server, wait_for

OVERDUE = ("--after", "order", "--missing", "payment", "--within", "1s")


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key)


def following(server: Server, *arguments: str) -> Following:
    arguments = ("follow", "--from-start", "--as", "a", *OVERDUE, *arguments)
    return Following(Bytelog(server.folder / "data").start(*arguments, **PIPES))


def post(server: Server, *events: tuple[str, str, float]) -> None:
    """Record events by trace, name and age in seconds."""
    now = datetime.now(UTC)
    fields = [
        {"id": 1, "trace_id": trace, "name": name, "date": str(now - timedelta(seconds=age))}
        for trace, name, age in events
    ]
    assert server.request(EVENTS, json.dumps(fields).encode()).status == 201


def traces(output: Following) -> list[str]:
    return [json.loads(line)["trace_id"] for line in output.lines]


def overdue(server: Server) -> set[str]:
    """Return the traces that the API calls overdue."""
    query = "from=order&to=payment&within=1"
    listed = json.loads(server.request(f"{EVENTS}/traces?{query}").body)["traces"]
    return {trace["trace_id"] for trace in listed}


@pytest.mark.each_database
def test_each_overdue_trace_is_reported_once(server: Server) -> None:
    post(
        server,
        ("never", "order", 60),
        ("paid", "order", 60),
        ("paid", "payment", 50),
        ("twice", "order", 60),
        ("twice", "order", 50),
        ("again", "order", 60),
        ("again", "payment", 50),
        ("again", "order", 40),
        ("before", "payment", 60),
        ("before", "order", 50),
        ("other", "click", 60),
    )
    with following(server) as output:
        wait_for(lambda: len(output.lines) == 4)
        post(server, ("soon", "order", 0), ("waiting", "order", 0), ("ahead", "order", -3600))
        post(server, ("soon", "payment", 0))
        started = time.monotonic()
        wait_for(lambda: len(output.lines) == 6)
        assert 0.5 < time.monotonic() - started < 10
        output.finish()
    assert traces(output) == ["never", "twice", "again", "before", "waiting", "ahead"]
    assert {*traces(output)} - {"ahead"} == overdue(server)
    post(server, ("last", "order", 60))
    with following(server) as output:
        wait_for(lambda: output.lines)
        output.finish()
    assert traces(output) == ["last"]


def test_a_follower_that_waits_for_a_deadline_stops_at_once(server: Server) -> None:
    post(server, ("a", "order", 0))
    with following(server, "--within", "1h") as output:
        wait_for(
            lambda: b'"a"' in Bytelog(server.folder / "data").run("followers", "list", "--json")
        )
        output.finish()
    assert output.lines == []


def test_a_webhook_for_an_overdue_trace_has_a_type_of_its_own(server: Server) -> None:
    post(server, ("a", "order", 60))
    bytelog = Bytelog(server.folder / "data")
    bytelog.environment["BYTELOG_WEBHOOK_SECRET"] = SECRET
    post_to = ("follow", "--from-start", "--allow-private", "--post")
    with (
        Receiver() as receiver,
        bytelog.start(*post_to, receiver.url, "--as", "a", *OVERDUE) as overdue,
        bytelog.start(*post_to, receiver.url, "--as", "b") as all_,
    ):
        wait_for(lambda: len(receiver.received) == 2)
        overdue.kill()
        all_.kill()
    ids = {message.message["type"]: message.id for message in receiver.received}
    assert ids["order.overdue"] == f"{ids['order']}_overdue"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--after", "a", "--missing", "b"], "--after, --missing and --within need one another"),
        ([*OVERDUE, "name=a"], "leave out name="),
        ([*OVERDUE, "--within", "10"], "such as 10m"),
        ([*OVERDUE, "--within", "4000d"], "ten years at most"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, arguments: list[str], error: str) -> None:
    make_history(tmp_path / "data", 1)
    assert error in Bytelog(tmp_path / "data").refuse("follow", *arguments, status=2)
