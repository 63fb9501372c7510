from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from sqlalchemy import create_engine
from support.api import CLICK, EVENTS
from support.commands import Bytelog, interrupt
from support.history import day, make_history
from support.load import TODAY, posting
from support.server import Server, wait_for

from bytelog import create_app, timestamps
from bytelog.maintenance import expiry, retention
from bytelog.maintenance.expiry import Scope
from bytelog.storage.database import backend_of, db
from bytelog.storage.writer import current_writer

DAYS = 20
MIDDLE = day(DAYS // 2)


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    make_history(tmp_path / "data", DAYS)
    return Bytelog(tmp_path / "data")


@pytest.fixture
def start(bytelog: Bytelog, serve: Callable[..., Server]) -> Callable[..., Server]:
    def start(**settings: str) -> Server:
        return serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder), **settings)

    return start


def size(bytelog: Bytelog) -> int:
    return (bytelog.folder / "bytelog.db").stat().st_size


def remaining(bytelog: Bytelog) -> list[int]:
    return [number for number in bytelog.ids() if number < TODAY]


def younger_half() -> list[int]:
    return list(range(DAYS // 2 * 1000, DAYS * 1000))


@pytest.mark.slow
def test_the_file_shrinks_while_a_client_posts(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    server, before = start(), size(bytelog)
    with posting(server) as acknowledged:
        output = bytelog.run("prune", "--before", MIDDLE).decode()
    assert output.startswith(f"Deleted 10000 events from before {MIDDLE}T00:00:00.000Z.\n")
    assert remaining(bytelog) == younger_half()
    assert size(bytelog) < 0.65 * before  # the index of the traces stays larger
    response = json.loads(server.request(f"{EVENTS}?end={day(DAYS)}").body)
    assert response["count"] == 10_000
    assert sorted(event["id"] for event in response["events"]) == younger_half()
    assert [number for number in bytelog.ids() if number >= TODAY] == acknowledged
    assert b"No damage was found" in bytelog.run("check")


def test_the_file_shrinks_without_a_server(bytelog: Bytelog) -> None:
    before = size(bytelog)
    bytelog.run("prune", "--before", MIDDLE)
    assert size(bytelog) < 0.65 * before
    assert remaining(bytelog) == younger_half()


def test_the_file_shrinks_beside_an_idle_server(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    server, before = start(), size(bytelog)
    bytelog.run("prune", "--before", MIDDLE)
    assert size(bytelog) < 0.65 * before
    assert json.loads(server.request(EVENTS).body)["count"] == 10_000


def test_every_project_is_pruned(bytelog: Bytelog) -> None:
    bytelog.run("keys", "create", "alice", "--project", "shop")
    make_history(bytelog.folder, 2, project_id=2)
    output = bytelog.run("prune", "--before", f"{day(1)}T00:00:00Z")
    assert output.startswith(b"Deleted 2000 events")
    assert sorted(bytelog.ids()) == sorted([*range(1000, DAYS * 1000), *range(1000, 2000)])


def test_an_event_at_the_bound_itself_is_kept(bytelog: Bytelog) -> None:
    bytelog.run("prune", "--before", day(1))
    assert 1000 in bytelog.ids()  # exactly at midnight
    bytelog.run("prune", "--before", f"{day(1)}T00:00:00.001Z")
    assert 1000 not in bytelog.ids()


def test_days_to_keep_are_counted_back_from_now(app: Flask) -> None:
    bytelog, now = Bytelog(Path(app.instance_path)), datetime.now(UTC)
    with app.app_context(), current_writer().transaction() as connection:
        for hours in (71, 73):
            connection.exec_driver_sql(
                "INSERT INTO event (project_id, id, name, trace_id, date, data)"
                " VALUES (1, ?, 'n', 't', ?, '{}')",
                (hours, (now - timedelta(hours=hours)).isoformat(timespec="milliseconds")),
            )
    bytelog.run("prune", "--keep-days", "999999999")
    assert bytelog.ids() == [71, 73]
    bytelog.run("prune", "--keep-days", "3")
    assert bytelog.ids() == [71]


def test_a_dry_run_deletes_nothing(bytelog: Bytelog) -> None:
    before = (bytelog.folder / "bytelog.db").read_bytes()
    output = bytelog.run("prune", "--before", MIDDLE, "--dry-run").decode()
    assert output == f"10000 events are from before {MIDDLE}T00:00:00.000Z.\n"
    assert (bytelog.folder / "bytelog.db").read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [(), ("--before", MIDDLE, "--keep-days", "1"), ("--keep-days", "0"), ("--before", "soon")],
)
def test_exactly_one_valid_bound_is_required(bytelog: Bytelog, options: tuple[str, ...]) -> None:
    bytelog.refuse("prune", *options, status=2)
    assert len(bytelog.ids()) == DAYS * 1000


@pytest.mark.slow
def test_ctrl_c_leaves_an_intact_database_and_the_next_run_continues(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    moments = random.Random(1)
    with posting(start()):
        for _ in range(3):
            left = len(remaining(bytelog))
            process = bytelog.start("prune", "--before", MIDDLE, stderr=subprocess.PIPE)
            wait_for(lambda left=left: len(remaining(bytelog)) < left)  # type: ignore[misc]
            time.sleep(moments.uniform(0, 0.05))
            assert interrupt(process).endswith(b"\nAborted!\n")
        assert set(younger_half()) < set(remaining(bytelog))
        assert b"No damage was found" in bytelog.run("check")
        bytelog.run("prune", "--before", MIDDLE)
    assert remaining(bytelog) == younger_half()


def test_progress_is_shown_on_a_terminal(bytelog: Bytelog) -> None:
    terminal_output = bytelog.on_terminal("prune", "--before", MIDDLE)
    assert b"Deleting" in terminal_output
    assert b"Shrinking" in terminal_output
    assert b"100%" in terminal_output


@pytest.fixture
def old(tmp_path: Path) -> Bytelog:
    """Return a command with a database of the first release, whose file cannot shrink."""
    (tmp_path / "old").mkdir()
    first = Config()
    first.set_main_option("script_location", "bytelog:migrations")
    first.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{tmp_path / 'old' / 'bytelog.db'}")
    with engine.begin() as connection:
        first.attributes["connection"] = connection
        command.upgrade(first, "0001")
    engine.dispose()
    make_history(tmp_path / "old", DAYS)
    return Bytelog(tmp_path / "old")


@pytest.mark.slow
def test_a_file_of_the_first_release_shrinks_when_it_is_not_in_use(old: Bytelog) -> None:
    before = size(old)
    old.run("prune", "--before", MIDDLE)
    assert size(old) < 0.6 * before
    between = size(old)
    old.run("prune", "--before", day(DAYS - 1), "--yes")
    assert size(old) < 0.2 * between
    assert remaining(old) == list(range((DAYS - 1) * 1000, DAYS * 1000))
    assert b"No damage was found" in old.run("check")


@pytest.mark.slow
def test_a_file_of_the_first_release_keeps_its_size_beside_a_server_with_a_warning(
    old: Bytelog, serve: Callable[..., Server]
) -> None:
    server, before = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(old.folder)), size(old)
    with posting(server):
        output, warned = old.finish("prune", "--before", MIDDLE)
    assert output.startswith(b"Deleted 10000 events")
    assert "once more while no server runs" in warned
    assert size(old) >= before
    assert remaining(old) == younger_half()
    server.stop()
    assert old.finish("prune", "--before", MIDDLE)[1] == ""
    assert size(old) < 0.6 * before
    assert remaining(old) == younger_half()


def age() -> int:
    """Return the age of the middle of the history in days."""
    return (datetime.now(UTC) - datetime.fromisoformat(f"{MIDDLE}T00:00:00Z")).days


def test_a_server_deletes_events_older_than_its_retention(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    before = size(bytelog)
    server = start(BYTELOG_KEEP_DAYS=str(age() + 2))
    with posting(server):
        wait_for(lambda: size(bytelog) < 0.8 * before)  # 8000 of 20,000 events, or 9000
    rest = remaining(bytelog)
    assert rest[-1] == DAYS * 1000 - 1
    assert (DAYS // 2 - 2) * 1000 <= min(rest) <= DAYS // 2 * 1000
    assert server.stop() == 0
    log = server.log.read_text()
    assert log.count(f"deleted {DAYS * 1000 - len(rest)} events from before ") == 1


def test_a_server_keeps_everything_by_default(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    server = start()
    assert server.request(EVENTS, json.dumps(CLICK).encode()).status == 201
    server.stop()
    assert remaining(bytelog)[: DAYS * 1000] == list(range(DAYS * 1000))


def test_a_server_can_be_stopped_during_a_deletion(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    server = start(BYTELOG_KEEP_DAYS=str(age() + 2))
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 5
    assert remaining(bytelog)
    assert b"No damage was found" in bytelog.run("check")


@pytest.mark.slow
def test_a_server_retries_after_the_database_was_locked(
    bytelog: Bytelog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention, "PRUNE_INTERVAL_SECONDS", 0.1)
    app = create_app({"BYTELOG_KEEP_DAYS": age() + 2}, bytelog.folder)
    other = sqlite3.connect(bytelog.folder / "bytelog.db", isolation_level=None)
    with closing(other), app.app_context():
        other.execute("BEGIN IMMEDIATE")
        with retention.run_in_background(app):
            wait_for(lambda: "will try again: another program" in caplog.text)
            other.execute("ROLLBACK")
            wait_for(lambda: len(remaining(bytelog)) < 12_000)
        current_writer().close()


def test_more_than_half_of_a_project_is_deleted_only_on_request(bytelog: Bytelog) -> None:
    bytelog.run("keys", "create", "alice", "--project", "shop")
    make_history(bytelog.folder, 3, project_id=2)
    refusal = bytelog.refuse("prune", "--before", day(2))
    assert "more than half of the events of shop are from before" in refusal
    assert len(bytelog.ids()) == DAYS * 1000 + 3000
    assert bytelog.run("prune", "--before", day(2), "--yes").startswith(b"Deleted 4000 events")


def test_a_server_deletes_most_of_no_project_but_prunes_the_others(
    bytelog: Bytelog, start: Callable[..., Server]
) -> None:
    bytelog.run("keys", "create", "alice", "--project", "shop")
    make_history(bytelog.folder, 2, project_id=2)
    server = start(BYTELOG_KEEP_DAYS=str(age() + 2))
    wait_for(lambda: "deleted " in server.log.read_text())
    assert "2000 events of project shop from before " in server.log.read_text()
    assert server.stop() == 0
    assert sum(number < 2000 for number in bytelog.ids()) == 2000
    assert len(bytelog.ids()) < DAYS * 1000


def test_the_share_of_expired_events_ignores_new_events_of_a_clock_that_is_ahead(
    tmp_path: Path,
) -> None:
    app = create_app({}, tmp_path)
    dates = [*[CLICK["date"]] * 3, *[timestamps.format_utc(timestamps.now())] * 10]
    with app.app_context(), current_writer().transaction() as connection:
        rows = [(1, number, "n", "t", date, "{}") for number, date in enumerate(dates)]
        current_writer().insert(connection, rows)
    with app.app_context():
        expired = expiry.find_expired(Scope(1, "default"), timestamps.days_ago(90))
    assert (expired.events, expired.is_most, expired.is_doubtful(90)) == (3, False, True)


@pytest.mark.parametrize("setting", ["soon", "-1", "1.5"])
def test_days_to_keep_must_be_a_whole_number(bytelog: Bytelog, setting: str) -> None:
    bytelog.environment["BYTELOG_KEEP_DAYS"] = setting
    assert "BYTELOG_KEEP_DAYS must be a whole number" in bytelog.refuse("keys", "list")


def test_a_database_in_memory_is_pruned() -> None:
    app = create_app({"BYTELOG_DATABASE_URL": "sqlite://", "BYTELOG_API_KEY": "k"})
    headers = {"Authorization": "Bearer k"}
    assert app.test_client().post(EVENTS, json=CLICK, headers=headers).status_code == 201
    with app.app_context():
        expired = expiry.find_expired(Scope(1, "default"), timestamps.days_ago(1))
        assert sum(expiry.prune([expired])) == 1
        space = backend_of(db.engine).maintenance.file_space()
        assert space is not None
        assert space.can_shrink()
        list(retention.shrink(space))
