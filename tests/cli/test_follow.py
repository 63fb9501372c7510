from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from support.api import CLICK, EVENTS
from support.commands import Bytelog
from support.following import PIPES, Following, close_output
from support.history import make_history
from support.server import Server, wait_for

from bytelog.api.cursors import identify_event
from bytelog.auth import projects
from bytelog.events import store
from bytelog.events.schemas import EventFields
from bytelog.follow import progress as progress_module
from bytelog.follow.progress import Progress
from bytelog.maintenance import arrivals
from bytelog.queries.formats import LINES
from bytelog.queries.selection import Selection
from bytelog.storage.database import db, fetch
from bytelog.storage.keyset import Order
from bytelog.storage.models import Follower

IMPATIENT = """from bytelog.follow import attempts, progress
attempts.FIRST_DELAY_SECONDS = 0.05
progress.SAVE_SECONDS = 0.1
progress.CLAIM_SECONDS = 0.2
"""


def post(server: Server, *ids: int, name: str = "click") -> None:
    events = [{**CLICK, "id": number, "name": name} for number in ids]
    assert server.request(EVENTS, json.dumps(events).encode()).status == 201


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    server = serve(BYTELOG_API_KEY=Server.key)
    (server.folder / "data").mkdir(exist_ok=True)  # It is missing beside PostgreSQL.
    (server.folder / "data" / "config.py").write_text(IMPATIENT)
    return server


def following(server: Server, *arguments: str) -> Following:
    return Following(Bytelog(server.folder / "data").start("follow", *arguments, **PIPES))


def wait_until_ready(server: Server, *names: str) -> None:
    """Wait until followers have saved where they begin."""
    wait_for(lambda: set(names) <= {name for name, _ in saved(server)})


def saved(server: Server) -> list[tuple[str, str]]:
    path = server.folder / "data" / "bytelog.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT name, cursor FROM follower").fetchall()


@pytest.mark.sqlite_file
def test_matching_events_are_written_from_now_on_in_order_of_arrival(server: Server) -> None:
    post(server, 1)
    with following(server, "name=click", "data.clicked_on=sign up button", "--as", "a") as output:
        wait_until_ready(server, "a")
        post(server, 2, 3)
        post(server, 4, name="other")
        post(server, 5)
        wait_for(lambda: len(output.lines) == 3)
        output.finish()
    assert output.ids == [2, 3, 5]
    assert json.loads(output.lines[0]) == {**CLICK, "id": 2, "date": "2021-08-15T23:41:41.507Z"}


@pytest.mark.each_database
def test_a_restart_continues_after_the_last_event(server: Server) -> None:
    post(server, 1, 2)
    with following(server, "--from-start", "--as", "a") as output:
        wait_for(lambda: output.ids == [1, 2])
        output.finish()
    post(server, 3)
    with following(server, "--from-start", "--as", "a") as output:
        wait_for(lambda: output.ids)
        output.finish()
    assert output.ids == [3]


@pytest.mark.each_database
def test_no_event_is_lost_when_follower_and_server_are_killed(server: Server) -> None:
    ids: list[int] = []
    for number in range(1, 7, 2):
        with following(server, "--from-start", "--as", "a") as output:
            post(server, number, number + 1)
            wait_for(lambda: output.lines and output.ids[-1] == number + 1)  # noqa: B023
        ids += output.ids
        server.stop(signal.SIGKILL)
        server.start()
    assert list(dict.fromkeys(ids)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.each_database
def test_a_name_is_refused_while_another_process_has_it(server: Server) -> None:
    bytelog = Bytelog(server.folder / "data")
    post(server, 1)
    with following(server, "--from-start", "--as", "a") as first:
        wait_for(lambda: first.lines)
        assert "another process follows as a" in bytelog.refuse("follow", "--as", "a", status=3)
        with following(server, "--from-start", "--as", "b") as second:
            wait_for(lambda: second.lines)
            second.finish()
    with following(server, "--as", "a") as output:
        post(server, 2)
        wait_for(lambda: 2 in output.ids)


@pytest.mark.each_database
def test_a_command_gets_each_event_and_is_repeated_until_it_succeeds(
    server: Server, tmp_path: Path
) -> None:
    post(server, 1, 2, 3)
    taken, attempts = tmp_path / "taken", tmp_path / "attempts"
    command = f"echo >> {attempts}; [ $(wc -l < {attempts}) -ne 2 ] && cat >> {taken}"
    with following(server, "--from-start", "--exec", command) as output:
        wait_for(lambda: taken.exists() and taken.read_text().count("\n") == 3)
        output.process.send_signal(signal.SIGTERM)
        assert output.process.wait(20) == 0
        assert output.process.stderr is not None
        assert b"the command ended with status 1; next attempt in" in output.process.stderr.read()
    ids = [json.loads(line)["id"] for line in taken.read_text().splitlines()]
    assert ids == [1, 2, 3]
    assert attempts.read_text().count("\n") == 4


@pytest.mark.parametrize("has_arrivals", [True, False])
def test_a_closed_pipe_ends_the_command_without_an_error(
    server: Server, has_arrivals: bool
) -> None:
    post(server, 1)
    bytelog = Bytelog(server.folder / "data")
    with bytelog.start("follow", "--from-start", **PIPES) as process:
        close_output(process, partial(post, server, 2) if has_arrivals else None)


def test_a_parameter_that_contradicts_following_is_refused(tmp_path: Path) -> None:
    make_history(tmp_path / "data", 1)
    for parameter in ("order=newest", "cursor=end", "wait=1", "limit=5"):
        errors = Bytelog(tmp_path / "data").refuse("follow", parameter, status=2)
        assert f"Error: {parameter.partition('=')[0]}: Unknown field.\n" in errors


@pytest.mark.each_database
def test_followers_are_listed_and_removed(server: Server) -> None:
    bytelog = Bytelog(server.folder / "data")
    post(server, 1, 2)
    post(server, 3, name="other")
    with following(server, "name=click", "--from-start", "--as", "a") as output:
        wait_for(lambda: len(output.lines) == 2)
        output.finish()
    post(server, 4)
    post(server, 5, name="other")
    (follower,) = json.loads(bytelog.run("followers", "list", "--json"))["followers"]
    assert follower.pop("delivered").startswith("20")
    assert follower == {
        "project": "default",
        "name": "a",
        "behind": 1,
        "set_aside": 0,
        "parameters": {"name": ["click"]},
    }
    _, row = bytelog.run("followers", "list").decode().splitlines()
    assert re.fullmatch(r"default +a +1 +0 +20\S+ +name=click", row)
    with following(server, "--as", "a") as output:
        wait_for(lambda: output.lines)
        assert bytelog.run("followers", "remove", "a") == b"Removed a.\n"
        post(server, 6)
        assert output.process.wait(20) == 3
    assert "no follower 'a' in this project" in bytelog.refuse("followers", "remove", "a")


def record(project_id: int, number: int) -> None:
    store.record(project_id, [EventFields(number, "n", "t", "2021-08-15T00:00:00.000Z", "{}")])


@pytest.mark.each_database
def test_a_position_is_saved_at_most_once_a_second_and_not_when_idle(
    shared_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared_app.app_context():
        project_id = projects.get_or_create("saved")
        progress = Progress(project_id, "a", {})
        progress.claim(arrivals.BEGINNING)
        cursors = set()
        started = time.monotonic()
        for number in range(20):
            record(project_id, number)
            progress.advance(arrivals.find_end(Selection(project_id)), is_delivered=True)
            cursors.add(fetch(db.engine, select(Follower.cursor))[0].cursor)
        assert len(cursors) <= 2 + (time.monotonic() - started)
        progress.save()
        saved = fetch(db.engine, select(Follower.cursor))[0].cursor
        assert saved not in cursors
        monkeypatch.setattr(progress_module, "IDLE_SAVE_SECONDS", 0)
        progress.advance(arrivals.find_end(Selection(project_id)), is_delivered=False)
        assert fetch(db.engine, select(Follower.cursor))[0].cursor == saved


@pytest.mark.each_database
def test_an_event_has_the_same_identifier_whether_or_not_others_follow(shared_app: Flask) -> None:
    def identify() -> str:
        selection = Selection(project_id, order=Order.ARRIVAL, limit=1)
        cursor = store.select(selection, LINES).next
        assert cursor is not None
        return identify_event(cursor)

    with shared_app.app_context():
        project_id = projects.get_or_create("identified")
        record(project_id, 1)
        first = identify()
        record(project_id, 2)
        assert identify() == first
