from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from support.api import CLICK, EVENTS, Person, close
from support.listings import fill
from support.pages import ORDERS, following, get, ids

from bytelog import create_app
from bytelog.config import MAX_LIMIT
from bytelog.storage.backend import Row
from bytelog.storage.database import db
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.slow

MANY = 200_000
PATHS = (EVENTS, f"{EVENTS}/trace/1")
WINDOWS = ("", "&start=2021-08-02", "&start=2021-08-02&end=2021-08-31")
LIMITS = ("", "&limit=2")
FILTERS = ("", "&name=click", "&id=1&name=click", "&data.clicked_on=x")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    app = create_app({"BYTELOG_API_KEY": "k"}, tmp_path_factory.mktemp("many"))
    rows: list[Row] = [
        (1, i, "n", f"{i % 2}", f"2021-08-{1 + i // 10_000:02}T00:00:00.{i % 900:03}Z", "{}")
        for i in range(MANY)
    ]
    with app.app_context(), current_writer().transaction() as connection:
        current_writer().insert(connection, rows)
    yield Person(app.test_client(), "k")
    close(app)


def work(person: Person, address: str) -> int:
    """Return how many steps SQLite's virtual machine takes for a response."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def listen(connection: Any, *_: object) -> None:
        connection.set_progress_handler(count, 1)

    with person.client.application.app_context():
        event.listen(db.engine, "checkout", listen)
        get(person, address)
        event.remove(db.engine, "checkout", listen)
        db.engine.dispose()
    return steps


@pytest.mark.parametrize(
    ("path", "order"),
    [combination for combination in product(PATHS, ORDERS) if combination != (PATHS[1], "arrival")],
)
def test_the_last_page_takes_as_much_work_as_the_first(many: Person, path: str, order: str) -> None:
    step = f"{path}?order={order}&limit={MAX_LIMIT}"
    for _ in range(MANY // MAX_LIMIT - 1):
        step = following(get(many, step)) or step
    last = step.replace(f"limit={MAX_LIMIT}", "limit=100")
    assert len(ids(get(many, last))) == 100
    of_first = work(many, f"{path}?order={order}&limit=100")
    assert work(many, last) < 1.2 * of_first < 100 * 100


def plans(app: Flask, person: Person, address: str) -> list[str]:
    statements: list[str] = []

    def listen(connection: Any, *_: object) -> None:
        connection.set_trace_callback(statements.append)

    with app.app_context():
        event.listen(db.engine, "checkout", listen)
        get(person, address)
        event.remove(db.engine, "checkout", listen)
        db.engine.dispose()
        with db.engine.connect() as connection:
            explained = [
                connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
                for statement in statements
                if "FROM event" in statement
            ]
    return [str(row[3]) for plan in explained for row in plan]


@pytest.mark.parametrize(("path", "order"), list(product(PATHS, ORDERS)))
def test_every_statement_searches_its_index_and_sorts_nothing(
    app: Flask, alice: Person, path: str, order: str
) -> None:
    for number in range(9):
        alice.post({**CLICK, "trace_id": "1", "date": f"2021-08-{9 - number // 2:02}"})
    columns = "project_id=? AND trace_id=?" if path == PATHS[1] else "project_id=?"
    ways = [f"({columns} AND date=? AND rowid", f"({columns} AND date>? AND date<?"]
    if order == "arrival":
        ways = ["(rowid>?"] if path == EVENTS else [f"event_by_trace ({columns}"]
    for window, limit, filters in product(WINDOWS, LIMITS, FILTERS):
        steps = plans(app, alice, f"{path}?order={order}{window}{limit}{filters}")
        searches = [step for step in steps if step.startswith("SEARCH event USING")]
        assert searches
        assert all(any(way in step for way in ways) for step in searches), steps
        assert not [step for step in steps if "SCAN event" in step]
        if (path, order) != (PATHS[1], "arrival"):
            assert not [step for step in steps if "TEMP B-TREE" in step]


def test_paths_search_the_events_of_a_window_once(app: Flask, alice: Person) -> None:
    window = "start=2021-08-02&end=2021-08-03&data.clicked_on=x"
    steps = plans(app, alice, f"{EVENTS}/paths?scope=events&{window}")
    assert [step for step in steps if " event" in step] == [
        "SEARCH event USING INDEX event_by_date (project_id=? AND date>? AND date<?)"
    ]


@contextmanager
def counted(app: Flask) -> Iterator[list[int]]:
    """Add an item for each thousand steps that SQLite's virtual machine takes for readers."""
    steps: list[int] = []

    def listen(connection: Any, *_: object) -> None:
        connection.set_progress_handler(lambda: steps.append(1), 1000)

    with app.app_context():
        event.listen(db.engine, "checkout", listen)
        yield steps
        event.remove(db.engine, "checkout", listen)


def test_a_waiting_request_reads_no_event_twice(app: Flask) -> None:
    fill(app, 20_000)
    other = create_app({"BYTELOG_API_KEY": "k"}, app.instance_path)
    reader = Person(other.test_client(), "k")
    with counted(other) as once:
        assert reader.events("?order=arrival&name=none") == []
    with counted(other) as steps:
        waiter = threading.Thread(target=reader.events, args=["?order=arrival&name=none&wait=1"])
        waiter.start()
        while waiter.is_alive():
            reader.post(CLICK)
        waiter.join()
    assert 0 < len(steps) < 5 * len(once)
