"""The contract of the storage interface, which every database fulfills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from bytelog.queries.formats import JSON
from bytelog.storage.backend import Backend, Row
from bytelog.storage.database import backend_of, db, fetch
from bytelog.storage.errors import StorageError
from bytelog.storage.keyset import Order
from bytelog.storage.models import Event, Project
from bytelog.storage.writer import Writer, current_writer

pytestmark = pytest.mark.each_database

DATES = ["2021-08-15T10:00:00.000Z", "2021-08-15T10:00:00.000Z", "2021-08-16T10:00:00.000Z"]
ROWS: list[Row] = [(1, number, "click", "a", date, '{"n":1}') for number, date in enumerate(DATES)]


@pytest.fixture
def writer(app: Flask) -> Iterator[Writer]:
    with app.app_context():
        yield current_writer()


@pytest.fixture
def backend(writer: Writer) -> Backend:
    return backend_of(db.engine)


def count() -> int:
    ((events,),) = fetch(db.engine, select(func.count()).select_from(Event))
    return int(events)


@pytest.mark.parametrize("number", [1, 60, 1200])
def test_events_are_stored_in_their_order(backend: Backend, writer: Writer, number: int) -> None:
    rows: list[Row] = [(1, id_, "click", "a", DATES[0], "{}") for id_ in range(number)]
    with writer.exclusive_connection() as connection:
        backend.store(connection, rows)
    ids = [row.id for row in fetch(db.engine, select(Event.id).order_by(Event.key))]
    assert ids == list(range(number))


def test_a_transaction_that_fails_stores_nothing(backend: Backend, writer: Writer) -> None:
    def insert_and_fail() -> None:
        with writer.transaction() as connection:
            backend.insert(connection, ROWS)
            connection.exec_driver_sql("no SQL at all")

    with pytest.raises(StorageError):
        insert_and_fail()
    assert count() == 0
    with writer.transaction() as connection:
        backend.insert(connection, ROWS)
    assert count() == len(ROWS)


def test_a_statement_takes_its_values_by_name(backend: Backend, writer: Writer) -> None:
    statement = select(Project.id).where(
        Project.name == bindparam("first"), Project.name != bindparam("second")
    )
    with writer.transaction() as connection:
        backend.execute(connection, insert(Project), {"name": "what? 100 %s"})
        values = {"second": "x", "first": "what? 100 %s"}
        assert backend.execute(connection, statement, values).scalar() == 2


def test_an_error_of_the_driver_becomes_a_storage_error(backend: Backend) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        fetch(db.engine, text("SELECT * FROM nowhere"))
    with (
        pytest.raises(StorageError),
        backend.errors(),
        backend.engine.connect() as connection,
    ):
        connection.exec_driver_sql("no SQL at all")


def test_a_snapshot_does_not_change_during_writes(backend: Backend, writer: Writer) -> None:
    writer.append(ROWS)
    with backend.maintenance.snapshot(writer.exclusive_connection) as connection:
        writer.append(ROWS)
        events = connection.execute(select(func.count()).select_from(Event)).scalar_one()
    assert events == len(ROWS)
    assert count() == 2 * len(ROWS)


@pytest.mark.parametrize(
    ("order", "expected"),
    [(Order.DATE, [0, 1, 2]), (Order.NEWEST, [2, 1, 0]), (Order.ARRIVAL, [0, 1, 2])],
)
def test_each_plan_continues_after_every_position(
    backend: Backend, writer: Writer, order: Order, expected: list[int]
) -> None:
    writer.append(ROWS)
    plan = backend.keyset_plans[order]
    events = fetch(db.engine, select(Event.id, Event.key).order_by(*plan.order))
    assert [event.id for event in events] == expected
    bounds = {"start": "2021-08-01T00:00:00.000Z", "end": "2021-09-01T00:00:00.000Z"}
    for rank, event in enumerate(events):
        position = {"date": DATES[event.id], "key": event.key, **bounds}
        following = [
            row.id
            for part in plan.parts
            for row in fetch(
                db.engine, select(Event.id).where(*part).order_by(*plan.order), position
            )
        ]
        assert following == expected[rank + 1 :]


def test_a_page_contains_the_number_and_the_text_of_its_events(
    backend: Backend, writer: Writer
) -> None:
    writer.append(ROWS)
    ordered = select(Event).order_by(Event.key).limit(2)
    page = backend.page(ordered, JSON.event, JSON.separator, JSON.closing)
    ((number, page_text),) = fetch(db.engine, page)
    assert number == 2
    head = f'{{"id":%d,"name":"click","trace_id":"a","date":"{DATES[0]}"}}{{"n":1}}'
    assert page_text.decode() == ",".join([head % 0 + "}", head % 1 + "}"])


def test_sizes_are_reported(backend: Backend, writer: Writer) -> None:
    writer.append(ROWS)
    with backend.maintenance.snapshot(writer.exclusive_connection) as connection:
        sizes = backend.maintenance.sizes(connection)
        assert not backend.maintenance.find_damage(connection)
    assert sizes.total > 0
    assert (sizes.log is None) == (backend.maintenance.log_bytes() is None) == backend.is_server


def test_a_database_has_a_file_or_names_an_alternative(backend: Backend) -> None:
    if backend.is_server:
        with pytest.raises(StorageError, match="pg_dump"):
            backend.file()
        assert backend.maintenance.file_space() is None
        return
    assert str(backend.file()) == backend.location()
    space = backend.maintenance.file_space()
    assert space is not None
    assert space.size() == backend.file().stat().st_size


def test_an_erasure_that_fails_does_not_slow_down_later_deletions(
    backend: Backend, writer: Writer
) -> None:
    if backend.is_server:
        return
    with writer.exclusive_connection() as connection:
        setting = connection.exec_driver_sql("PRAGMA secure_delete").scalar()
        with pytest.raises(DBAPIError), backend.maintenance.overwrite_deleted(connection):
            connection.exec_driver_sql("no SQL at all")
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == setting


def test_dropping_expired_events_keeps_the_others(backend: Backend, writer: Writer) -> None:
    writer.append(ROWS)
    now = datetime.now(UTC)
    assert list(backend.maintenance.drop_expired(now - timedelta(days=1), writer.transaction)) == []
    assert count() == len(ROWS)


def test_a_connection_is_usable_after_an_error_of_a_statement(
    backend: Backend, writer: Writer
) -> None:
    with pytest.raises(StorageError), writer.exclusive_connection() as connection:
        connection.exec_driver_sql("no SQL at all")
    writer.append(ROWS)
    assert count() == len(ROWS)
