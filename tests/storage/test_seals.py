"""Every way to tamper with a single event, its leaf, or the record of seals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, select, update
from support.seals import seal_events

from bytelog.seals import chain
from bytelog.seals.document import Seal
from bytelog.seals.pages import fetch_over, read_events
from bytelog.seals.verification import Comparison, compare
from bytelog.storage.backend import Row
from bytelog.storage.database import db, fetch
from bytelog.storage.leaves import forget_leaves
from bytelog.storage.models import Event, SealedLog, SealLeaf
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

GAP, ERASED_BEFORE, ERASED_SINCE, LAST, LATER = 5, 4, 10, 12, 13
INTACT = [1, 2, 3, 6, 7, 8, 9, 11, LAST]

INSERT = (
    "INSERT INTO event (key, project_id, id, name, trace_id, date, data) "
    "VALUES ({}, 1, 7, 'click', 'a', '2021-08-15T10:00:00.000Z', '{{}}')"
)


class Undo(Exception):
    pass


def record(*numbers: int) -> None:
    date, data = "2021-08-15T10:00:00.000Z", '{"n":1,"text":"ü"}'
    rows: list[Row] = [(1, number, "click", f"a{number}", date, data) for number in numbers]
    with current_writer().transaction() as connection:
        current_writer().insert(connection, rows)


def erase(*keys: int) -> None:
    with current_writer().transaction() as connection:
        forget_leaves(connection, keys)
        connection.execute(delete(Event).where(Event.key.in_(keys)))


@pytest.fixture(scope="module")
def seals() -> dict[str, list[Seal]]:
    return {}


@pytest.fixture
def both(shared_app: Flask, database: str, seals: dict[str, list[Seal]]) -> Iterator[list[Seal]]:
    """Yield two seals of a service with an erased event before each and after both."""
    with shared_app.app_context():
        if database not in seals:
            record(*range(1, 8))
            erase(GAP)
            first = seal_events()
            record(*range(8, LATER))
            erase(ERASED_BEFORE)
            seals[database] = [first, seal_events()]
            erase(ERASED_SINCE)
            record(LATER)
        yield seals[database]


@pytest.fixture
def seal(both: list[Seal]) -> Seal:
    return both[-1]


def tamper(seal: Seal, change: Callable[[Connection], object]) -> Comparison:
    """Compare a service with a seal after a change, which is undone."""
    with suppress(Undo), current_writer().transaction() as connection:
        change(connection)
        comparison = compare(connection, seal)
        raise Undo
    return comparison


def contradiction(seal: Seal, *statements: str) -> str:
    def change(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return tamper(seal, change).contradiction


def test_erasing_and_recording_contradict_no_seal(both: list[Seal]) -> None:
    with db.engine.connect() as connection:
        assert compare(connection, both[0]) == Comparison(0, 1, "")
        assert compare(connection, both[1]) == Comparison(1, 1, "")


@pytest.mark.parametrize("key", INTACT)
@pytest.mark.parametrize(
    "change",
    [
        "project_id = 2",
        "id = -1",
        "name = 'Click'",
        "trace_id = 'z'",
        "name = 'clic', trace_id = 'k' || trace_id",
        "date = '2021-08-15T10:00:00.001Z'",
        """data = '{"n": 1,"text":"ü"}'""",
    ],
)
def test_an_altered_event_is_named(seal: Seal, key: int, change: str) -> None:
    altered = contradiction(seal, f"UPDATE event SET {change} WHERE key = {key}")
    assert altered.startswith(f"the event with the key {key} (id ")
    assert altered.endswith("was altered")


@given(data=st.data())
def test_any_altered_event_is_named(seal: Seal, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(INTACT))
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    column, value = data.draw(
        st.one_of(
            st.tuples(st.sampled_from(["id", "project_id"]), st.integers(100, 2**31 - 1)),
            st.tuples(st.sampled_from(["name", "trace_id", "data"]), texts),
        )
    )
    statement = update(Event).where(Event.key == key).values({column: value})
    altered = tamper(seal, lambda connection: connection.execute(statement)).contradiction
    assert altered.startswith(f"the event with the key {key} (id ")


@pytest.mark.parametrize("key", INTACT)
def test_a_removed_event_is_named(seal: Seal, key: int) -> None:
    remove = f"DELETE FROM event WHERE key = {key}"
    assert contradiction(seal, remove) == f"the event with the key {key} was removed"


@pytest.mark.parametrize("key", INTACT)
def test_an_event_that_is_removed_with_its_leaf_is_missed(seal: Seal, key: int) -> None:
    both = [f"DELETE FROM {table} WHERE key = {key}" for table in ("event", "seal_leaf")]
    missed = contradiction(seal, *both)
    before, after = max([0, *(k for k in range(1, key) if k != GAP)]), key + 1
    if key == LAST:
        assert missed.startswith(f"1 events after the key {before} were removed")
    else:
        between = f"between the keys {before} and {after if after != GAP else 6}"
        assert missed == f"an event {between} was removed together with its leaf"


@pytest.mark.parametrize("key", [-3, 0, GAP])
def test_an_inserted_event_is_named(seal: Seal, key: int) -> None:
    inserted = contradiction(seal, INSERT.format(key))
    assert inserted.startswith(f"the event with the key {key} (id 7, name 'click', trace 'a')")
    assert inserted.endswith("was inserted")


@pytest.mark.parametrize("key", [ERASED_BEFORE, ERASED_SINCE])
def test_an_event_inserted_for_an_erased_one_is_named(seal: Seal, key: int) -> None:
    assert contradiction(seal, INSERT.format(key)).startswith(f"the event with the key {key} (id 7")


def test_an_event_that_is_inserted_with_a_leaf_is_found(seal: Seal) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT.format(GAP))
        write_leaf(connection, GAP, is_new=True)

    def change_and_link(connection: Connection) -> None:
        change(connection)
        write_links(connection, GAP, GAP)

    assert "key 5, or the one before it, was inserted" in tamper(seal, change).contradiction
    linked = tamper(seal, change_and_link).contradiction
    assert "key 6, or the one before it, was inserted" in linked


def move(key: int, target: int) -> str:
    return f"UPDATE event SET key = {target} WHERE key = {key}"


@pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 9), (11, LAST), (2, LATER)])
def test_the_first_of_two_exchanged_events_is_named(seal: Seal, first: int, second: int) -> None:
    found = contradiction(seal, move(first, 99), move(second, first), move(99, second))
    if second == LATER:
        assert found.startswith(f"the event with the key {first} (id {second}")
    else:
        assert found.endswith(
            f"(id {second}, name 'click', trace 'a{second}') was moved: its key was {second}"
        )


def test_an_event_that_is_moved_to_a_free_key_is_named(seal: Seal) -> None:
    assert contradiction(seal, move(9, GAP)).endswith("was moved: its key was 9")
    assert contradiction(seal, move(2, 99)) == "the event with the key 2 was removed"


def test_the_first_of_several_is_named(seal: Seal) -> None:
    found = contradiction(seal, "UPDATE event SET id = 0 WHERE key IN (9, 3, 11)")
    assert found.startswith("the event with the key 3 ")


def set_leaf(key: int, change: str) -> str:
    return f"UPDATE seal_leaf SET {change} WHERE key = {key}"


@pytest.mark.parametrize("key", INTACT)
def test_a_removed_leaf_is_named(seal: Seal, key: int) -> None:
    found = contradiction(seal, f"DELETE FROM seal_leaf WHERE key = {key}")
    assert found.startswith(f"the leaf of the event with the key {key} (id")


@pytest.mark.parametrize("key", [*INTACT, ERASED_BEFORE, ERASED_SINCE])
@pytest.mark.parametrize("change", ["hash = salt", "salt = hash", "link = link + 1"])
def test_an_altered_leaf_is_named(seal: Seal, key: int, change: str, database: str) -> None:
    if change == "hash = salt" and key not in INTACT:
        change = "hash = x'00'" if database == "sqlite" else "hash = '\\x00'"
    assert f"the event with the key {key}" in contradiction(seal, set_leaf(key, change))


@pytest.mark.parametrize(
    "change", ["salt = NULL", "erased_after = 1", "salt = NULL, erased_after = 3"]
)
def test_a_wrong_mark_is_named(seal: Seal, change: str) -> None:
    expected = "the leaf of the event with the key 6 was altered"
    assert contradiction(seal, set_leaf(6, change)) == expected


def test_an_event_that_is_marked_as_erased_and_still_there_is_named(seal: Seal) -> None:
    found = contradiction(seal, set_leaf(6, "salt = NULL, erased_after = 1"))
    assert found.endswith("was inserted, or its leaf marked as erased")


@pytest.mark.parametrize("mark", [0, 1])
def test_no_erasure_can_be_claimed_before_a_seal(seal: Seal, mark: int) -> None:
    claim = set_leaf(6, f"salt = NULL, erased_after = {mark}")
    found = contradiction(seal, "DELETE FROM event WHERE key = 6", claim)
    assert found == "1 events are marked as erased before the seal, and were not"


def test_no_erasure_can_be_postponed_or_exchanged(seal: Seal) -> None:
    later = set_leaf(ERASED_BEFORE, "erased_after = 2")
    assert contradiction(seal, later).startswith("1 events that were erased before the seal are")
    other = set_leaf(ERASED_SINCE, "erased_after = 1")
    assert contradiction(seal, later, other).startswith("other events are marked as erased")


def test_an_erased_event_cannot_return_with_its_salt(shared_app: Flask) -> None:
    def restore(connection: Connection) -> None:
        connection.execute(insert(Event), [event])
        connection.execute(update(SealLeaf).where(SealLeaf.key == key), salts)

    with shared_app.app_context():
        record(77)
        seal_events()
        ((key,),) = fetch(db.engine, select(func.max(Event.key)))
        event = fetch(db.engine, select(Event.__table__).where(Event.key == key))[0]._asdict()
        ((salt,),) = fetch(db.engine, select(SealLeaf.salt).where(SealLeaf.key == key))
        salts: Any = {"salt": salt, "erased_after": None}
        erase(key)
        seal = seal_events()
        assert "are back" in tamper(seal, restore).contradiction


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM seal_leaf WHERE key > 6", "the leaf of the event with the key 7 "),
        ("DELETE FROM seal_leaf", "the leaf of the event with the key 1 "),
        ("DELETE FROM sealed_log", "no event of this database was ever sealed"),
        ("UPDATE sealed_log SET name = 'x'", "the seal belongs to another log"),
        ("UPDATE sealed_log SET seals = 1", "the newest seal of this database is number 1"),
    ],
)
def test_a_damaged_record_of_seals_is_found(seal: Seal, statement: str, expected: str) -> None:
    assert contradiction(seal, statement).startswith(expected)


def test_an_older_backup_is_found(seal: Seal) -> None:
    older = [f"DELETE FROM {table} WHERE key > 8" for table in ("event", "seal_leaf")]
    assert contradiction(seal, *older).startswith("4 events after the key 8 were removed")


def write_leaf(connection: Connection, key: int, is_new: bool = False) -> None:
    """Compute the hash of an event's leaf again, and its link unless it is new."""
    ((event,),) = read_events(fetch_over(connection), key, key)
    salt = bytes(chain.SALT_BYTES)
    values = {"salt": salt, "hash": chain.hash_leaf(salt, event.encode())}
    if is_new:
        connection.execute(insert(SealLeaf), [{"key": key, "link": 0, **values}])
    else:
        connection.execute(update(SealLeaf).where(SealLeaf.key == key).values(values))


def write_links(connection: Connection, first: int, last: int) -> None:
    """Compute the links of leaves again, as somebody who knows the format can."""
    value = chain.begin(connection.execute(select(SealedLog.name)).scalar_one())
    for row in connection.execute(select(SealLeaf.key, SealLeaf.hash).order_by(SealLeaf.key)):
        value = chain.extend(value, row.key, row.hash)
        if first <= row.key <= last:
            link = {"link": chain.shorten(value)}
            connection.execute(update(SealLeaf).where(SealLeaf.key == row.key).values(link))


@pytest.mark.parametrize("key", INTACT)
def test_an_event_that_is_altered_together_with_its_leaf_is_named(seal: Seal, key: int) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(f"UPDATE event SET id = 99 WHERE key = {key}")
        write_leaf(connection, key)

    found = tamper(seal, change).contradiction
    assert found.startswith(f"the event with the key {key}, or the one before it, was altered")


def test_leaves_that_are_all_computed_again_contradict_every_seal(both: list[Seal]) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE event SET id = 99 WHERE key = 3")
        write_leaf(connection, 3)
        write_links(connection, 3, LATER)

    for seal in both:
        assert "the leaves of all later events" in tamper(seal, change).contradiction


def test_an_earlier_seal_that_agrees_tells_when_leaves_were_computed_again(
    both: list[Seal],
) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE event SET id = 99 WHERE key = 9")
        write_leaf(connection, 9)
        write_links(connection, 9, LATER)

    contradictions = [tamper(seal, change).contradiction for seal in both]
    assert contradictions[0] == ""
    assert "Find the newest earlier seal that agrees" in contradictions[1]


def test_what_a_listing_does_not_show_is_found_too(seal: Seal, database: str) -> None:
    changes = {
        "sqlite": [
            "name = CAST(name AS BLOB)",
            "data = CAST(x'ff' AS TEXT)",
            "id = id + 0.5",
            "id = CAST(x'ff' AS TEXT)",
        ],
        "postgresql": [
            "date = date + interval '1 microsecond'",
            "date = '2021-08-15 10:00:00+00 BC'",
            "date = 'infinity'",
            "date = '22021-08-15 10:00:00+00'",
        ],
    }
    for change in changes[database]:
        altered = contradiction(seal, f"UPDATE event SET {change} WHERE key = 7")
        assert altered.startswith("the event with the key 7 (")
    if database == "postgresql":
        double = INSERT.format(7).replace("2021-08-15", "2021-08-16")
        assert contradiction(seal, double).startswith("the event with the key 7 (")


def test_no_part_of_an_event_can_become_its_salt(shared_app: Flask) -> None:
    fields = (b"1", b"9", b"paid", b"a", b"2021-08-15T10:00:00.000Z", b'}"}')

    def change(connection: Connection) -> None:
        forged = chain.encode((b"%d" % key, *fields))
        ((event,),) = read_events(fetch_over(connection), key, key)
        whole = salt + event.encode()
        assert whole.endswith(forged)
        of_key = update(SealLeaf).where(SealLeaf.key == key)
        connection.execute(of_key.values(salt=whole.removesuffix(forged)))
        values = {"id": 9, "name": "paid", "trace_id": "a", "data": '}"}'}
        connection.execute(update(Event).where(Event.key == key).values(values))

    with shared_app.app_context():
        record(78)
        ((key,),) = fetch(db.engine, select(func.max(Event.key) + 1))
        data = b'{"a":"' + chain.encode((b"%d" % key, *fields)).removesuffix(b",")
        row: Row = (1, 1, "click", "a", "2021-08-15T10:00:00.000Z", data.decode())
        with current_writer().transaction() as connection:
            current_writer().insert(connection, [row])
        seal = seal_events()
        ((salt,),) = fetch(db.engine, select(SealLeaf.salt).where(SealLeaf.key == key))
        found = tamper(seal, change).contradiction
        assert found == f"the leaf of the event with the key {key} was altered"


def test_an_event_erased_while_it_is_sealed_has_no_leaf(shared_app: Flask) -> None:
    with shared_app.app_context():
        record(*range(50, 53))
        ((key,),) = fetch(db.engine, select(func.max(Event.key)))

        def read_and_erase(*arguments: Any) -> Iterator[Any]:
            for page in read_events(*arguments):
                erase(key - 1)
                yield page

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bytelog.seals.sealing.read_events", read_and_erase)
            seal = seal_events()
        with db.engine.connect() as connection:
            assert compare(connection, seal).contradiction == ""
        assert fetch(db.engine, select(SealLeaf.key).where(SealLeaf.key == key - 1)) == []
