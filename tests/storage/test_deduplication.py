from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, Person, close
from support.commands import Bytelog

from bytelog import Bytelog as Events
from bytelog import create_app, timestamps
from bytelog.api import bounds
from bytelog.auth import keys
from bytelog.storage.database import db
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

KEY = {"Idempotency-Key": "a"}


@pytest.fixture
def open_with(tmp_path: Path, database: str) -> Callable[[int | None], Flask]:
    def open_(days: int | None) -> Flask:
        return create_app({"TESTING": True, "BYTELOG_DEDUPE_DAYS": days}, tmp_path)

    return open_


@pytest.fixture
def app(open_with: Callable[[int | None], Flask]) -> Flask:
    return open_with(7)


def change(**members: Any) -> dict[str, Any]:
    return {**CLICK, **members}


def move_days(app: Flask, days: int) -> None:
    """Make all events arrive some days earlier."""
    with app.app_context(), current_writer().transaction() as connection:
        rows = connection.exec_driver_sql("SELECT day, first_key FROM arrival_day").all()
        connection.exec_driver_sql("DELETE FROM arrival_day")
        for day, key in rows:
            moved = timestamps.parse(day) - timedelta(days)
            values = f"VALUES ('{timestamps.format_utc(moved)[:10]}', {key})"
            connection.exec_driver_sql(f"INSERT INTO arrival_day {values}")
    close(app)


def test_an_event_that_arrives_again_is_acknowledged_and_not_stored(
    alice: Person, bob: Person
) -> None:
    text = change(name="ü\"'\\ 🙂", id=-(2**63))
    other = [
        change(id=2),
        change(name="Click"),
        change(trace_id="03775691"),
        change(date="2021-08-15T23:41:41.508Z"),
    ]
    for body in (CLICK, text, CLICK, text, other):
        assert alice.post(body).status_code == 201
    assert alice.post([change(data={"compared": False}), *other, change(id=3)]).status_code == 201
    same_moment = change(date="2021-08-16T01:41:41.507+02:00")
    for _ in range(2):
        headers = {**alice.headers, **KEY}
        assert alice.post([same_moment, change(id=4)], headers=headers).status_code == 201
    arrived = alice.events("?order=arrival")
    assert arrived == [CLICK, text, *other, change(id=3), change(id=4)]
    assert bob.post(CLICK).status_code == 201
    assert bob.events() == [CLICK]


def test_a_large_batch_is_compared_with_itself_and_with_what_is_stored(alice: Person) -> None:
    events = [change(id=number % 1000) for number in range(1500)]
    assert alice.post(events).status_code == 201
    assert alice.post([*events, change(id=1000)]).status_code == 201
    assert [event["id"] for event in alice.events("?order=arrival")] == list(range(1001))


def test_imports_and_the_embedding_program_store_no_event_again(app: Flask, tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    bytelog.environment["BYTELOG_DEDUPE_DAYS"] = "7"
    Events(app).record(**CLICK)
    Events(app).record(**CLICK)
    Events(app).record_many([CLICK, change(id=2)])
    exported = bytelog.run("export")
    close(app)
    assert exported.count(b"\n") == 2
    line = exported.splitlines()[0].replace(b'"id":1', b'"id":3')
    assert b"Imported 1 events" in bytelog.run("import", text=exported + line)
    assert bytelog.run("export").count(b"\n") == 3


def test_only_events_that_arrived_in_the_last_days_are_compared(
    open_with: Callable[[int | None], Flask], app: Flask
) -> None:
    with app.app_context():
        key = keys.create("alice", "shop")
    assert Person(app.test_client(), key).post(CLICK).status_code == 201
    for moved, expected in ((7, 1), (1, 2), (0, 2)):
        move_days(app, moved)
        app = open_with(7)
        alice = Person(app.test_client(), key)
        assert alice.post(CLICK).status_code == 201
        assert len(alice.events()) == expected


def test_an_event_is_no_repetition_of_one_that_its_key_may_not_see(app: Flask) -> None:
    def join(*conditions: str) -> Person:
        with app.app_context():
            bound = bounds.write(conditions)
            return Person(app.test_client(), keys.create("k", "shop", ["write"], bound=bound))

    def event(tenant: int, **data: int) -> dict[str, Any]:
        return change(name="ü", data={"tenant": tenant, **data})

    first, second = join("data.tenant=42"), join("name=ü", "data.tenant=43", "data.tenant=44")
    assert first.post(event(42)).status_code == 201
    for _ in range(2):
        assert second.post([event(43), event(43, a=1)]).status_code == 201
        assert first.post(event(42, a=1)).status_code == 201
    assert second.post(event(44)).status_code == 201
    for person in (join(), join("name=ü")):
        assert person.post(event(45)).status_code == 201
    with app.app_context():
        everything = Person(app.test_client(), keys.create("all", "shop"))
    assert everything.events("?order=arrival") == [event(42), event(43)]


def test_nothing_is_noted_or_compared_unless_the_setting_says_so(
    open_with: Callable[[int | None], Flask],
) -> None:
    app = open_with(None)
    Events(app).record(**CLICK)
    Events(app).record(**CLICK)
    with app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM arrival_day").scalar_one() == 0


def test_a_day_of_a_clock_that_was_ahead_does_not_count(
    open_with: Callable[[int | None], Flask], app: Flask
) -> None:
    Events(app).record(**CLICK)
    move_days(app, -1000)
    app = open_with(7)
    Events(app).record(**CLICK)
    with app.app_context(), db.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one() == 2
