from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from marshmallow import ValidationError
from support.api import CLICK, Person, close
from support.commands import Bytelog
from support.server import wait_for

from bytelog import Bytelog as Events
from bytelog import create_app, timestamps
from bytelog.auth import keys
from bytelog.maintenance import retention
from bytelog.storage.database import db, fetch
from bytelog.storage.models import Event
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database


def aged(days: int, name: str = "click", number: int = 1) -> dict[str, Any]:
    date = timestamps.format_utc(timestamps.days_ago(days))
    return {**CLICK, "id": number, "name": name, "date": date}


@pytest.fixture
def open_with(tmp_path: Path, database: str) -> Callable[[str], Flask]:
    return lambda rules: create_app({"BYTELOG_KEEP": rules, "TESTING": True}, tmp_path)


def record(app: Flask, events: list[dict[str, Any]], project: str = "default") -> None:
    Events(app).record_many(events, project)


def ids(app: Flask) -> list[int]:
    with app.app_context():
        return sorted(row.id for row in fetch(db.engine, Event.__table__.select()))


def apply_until(app: Flask, condition: Callable[[], bool]) -> None:
    with retention.run_in_background(app):
        wait_for(condition)
    close(app)


def notes(app: Flask) -> str:
    with app.app_context(), db.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT applied_rules FROM project ORDER BY id")
        return str([row[0] for row in rows])


def test_the_most_specific_rule_decides_which_events_a_server_deletes(
    open_with: Callable[[str], Flask],
) -> None:
    app = open_with("")
    many = [aged(4, number=10 + number) for number in range(5)]
    record(app, [*many, aged(50, "sale", 1), aged(9, "click", 2), aged(95, "sale", 3)], "shop")
    record(app, [*many, aged(95, "click", 4), aged(400, "click", 5)], "bank")
    close(app)
    app = open_with("365d, shop=90d, shop/click=7d")
    apply_until(app, lambda: "90" in notes(app))
    assert len(ids(app)) == 12
    assert ids(app)[:2] == [1, 4]
    app = open_with("365d, shop/click=7d, shop=40d")
    apply_until(app, lambda: ids(app)[0] == 4)


def test_the_oldest_date_of_a_new_event_follows_the_most_specific_rule(
    open_with: Callable[[str], Flask], tmp_path: Path
) -> None:
    app = open_with("365d, shop=90d, shop/click=7d")
    with app.app_context():
        shop, bank = (
            Person(app.test_client(), keys.create("k", project)) for project in ("shop", "bank")
        )
    once = {**shop.headers, "Idempotency-Key": "a"}
    assert shop.post(aged(8)).status_code == 400
    assert shop.post(aged(8), headers=once).status_code == 400
    assert shop.post([aged(1), aged(8)]).status_code == 400
    assert shop.post([aged(6), aged(89, "sale")], headers=once).status_code == 201
    assert shop.post(aged(91, "sale")).status_code == 400
    assert bank.post(aged(364)).status_code == 201
    assert bank.post(aged(366)).status_code == 400
    with pytest.raises(ValidationError, match="date"):
        Events(app).record(project="shop", **aged(8))
    bytelog = Bytelog(tmp_path)
    bytelog.environment["BYTELOG_KEEP"] = "365d, shop=90d, shop/click=7d"
    line = f'{{"id": 1, "name": "click", "trace_id": "t", "date": "{aged(8)["date"]}"}}'.encode()
    assert "Must not be before" in bytelog.refuse("import", "--project", "shop", text=line)
    bytelog.run("import", "--project", "bank", text=line)


def test_a_shortened_rule_may_delete_most_events_and_a_new_rule_or_a_wrong_clock_may_not(
    open_with: Callable[[str], Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = open_with("")
    record(app, [aged(1, number=1), *[aged(50, number=number) for number in (2, 3, 4)]])
    close(app)
    app = open_with("30d")
    apply_until(app, lambda: "3 events of project default from before" in caplog.text)
    assert "bytelog prune --project default --yes" in caplog.text
    assert ids(app) == [1, 2, 3, 4]
    app = open_with("365d")
    apply_until(app, lambda: "365" in notes(app))
    app = open_with("30d")
    apply_until(app, lambda: "30" in notes(app))
    assert ids(app) == [1]
    # By a clock that is 100 days ahead, these are 100 days old.
    caplog.clear()
    app = open_with("")
    with app.app_context(), current_writer().transaction() as connection:
        rows = [(1, number, "n", "t", str(aged(100)["date"]), "{}") for number in range(2, 9)]
        current_writer().insert(connection, rows)
    close(app)
    app = open_with("20d")
    apply_until(app, lambda: "7 events of project default from before" in caplog.text)
    assert len(ids(app)) == 8


def test_the_command_prunes_a_project_a_name_or_by_the_rules(
    open_with: Callable[[str], Flask], tmp_path: Path
) -> None:
    app = open_with("")
    recent = [aged(1, name, number=number) for number in range(9) for name in ("click", "a b")]
    for project in ("shop", "bank"):
        record(app, [*recent, aged(50, "a b", 20), aged(50, "click", 30)], project)
    close(app)
    bytelog = Bytelog(tmp_path)
    selection = ("--project", "shop", "--name", "a b", "--keep-days", "40")
    output = bytelog.run("prune", *selection, "--dry-run")
    assert output.startswith(b"1 events are from before ")
    assert bytelog.run("prune", *selection).startswith(b"Deleted 1 events from before ")
    assert [number for number in ids(app) if number > 9] == [20, 30, 30]
    bytelog.run("prune", "--project", "shop", "--keep-days", "40")
    assert [number for number in ids(app) if number > 9] == [20, 30]
    assert "there is no project 'pub'" in bytelog.refuse(
        "prune", "--project", "pub", "--keep-days", "1"
    )
    assert "or set BYTELOG_KEEP" in bytelog.refuse("prune", status=2)
    bytelog.environment["BYTELOG_KEEP"] = "bank=60d, bank/click=40d"
    output = bytelog.run("prune")
    assert output.startswith(b"Deleted 1 events too old for BYTELOG_KEEP.")
    assert [number for number in ids(app) if number > 9] == [20]
