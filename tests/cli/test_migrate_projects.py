from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask import Flask
from sqlalchemy import insert
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from werkzeug.test import TestResponse

from bytelog import create_app, timestamps
from bytelog.auth import keys, projects
from bytelog.follow import registry
from bytelog.storage.database import backend_of, db
from bytelog.storage.models import Follower
from bytelog.storage.writer import current_writer

DIRECTIONS = [
    pytest.param(
        (source, target),
        marks=[pytest.mark.postgresql] if "postgresql" in (source, target) else [],
        id=f"{source}-{target}",
    )
    for source in ("sqlite", "postgresql")
    for target in ("sqlite", "postgresql")
]

KILLED = """
import os, signal, sys
from contextlib import contextmanager
from bytelog.__main__ import main
from bytelog.maintenance.migration import base, target

left, transaction = int(sys.argv.pop(1)), target.transaction
base.MIGRATE_EVENTS = 3

def count():
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

@contextmanager
def counted(*arguments):
    with transaction(*arguments):
        yield
        count()
    count()

target.transaction = counted
main()
"""
"""A command that ends at a number of points, before and after each commit to the target."""


class Service(NamedTuple):
    app: Flask
    command: Bytelog
    url: str

    def person(self, project: str, **changes: Any) -> Person:
        with self.app.app_context():
            return Person(self.app.test_client(), keys.create("key", project, **changes))

    def client(self, person: Person) -> Person:
        return Person(self.app.test_client(), person.key)


@pytest.fixture
def open_service(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], Service]]:
    names: list[str] = []
    folders: list[Path] = []

    def open_(kind: str) -> Service:
        folders.append(tmp_path / f"service{len(folders)}")
        url = f"sqlite:///{folders[-1]}/bytelog.db"
        if kind == "postgresql":
            names.append(request.getfixturevalue("new_database")())
            url = request.getfixturevalue("shared_cluster").url(names[-1])
        app = create_app({"BYTELOG_DATABASE_URL": url}, folders[-1])
        command = Bytelog(folders[-1])
        command.environment["BYTELOG_DATABASE_URL"] = url
        return Service(app, command, url)

    yield open_
    for name in names:
        request.getfixturevalue("shared_cluster").sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DIRECTIONS)
def pair(
    request: pytest.FixtureRequest, open_service: Callable[[str], Service]
) -> tuple[Service, Service]:
    source, target = request.param
    return open_service(source), open_service(target)


@pytest.fixture
def files(open_service: Callable[[str], Service]) -> tuple[Service, Service]:
    return open_service("sqlite"), open_service("sqlite")


def event(number: int) -> dict[str, Any]:
    return {**CLICK, "id": number, "date": f"2021-08-15T00:00:{number % 7:02}.000Z"}


def post(person: Person, *numbers: int) -> None:
    assert person.post([event(number) for number in numbers]).status_code == 201


def read(person: Person, query: str) -> TestResponse:
    # A response that is not closed keeps its reader slot until it is garbage.
    response = person.client.get(EVENTS + query, headers=person.headers, buffered=True)
    assert response.status_code == 200, response.text
    return response


def ids(person: Person, query: str = "?order=arrival") -> list[int]:
    return [each["id"] for each in (read(person, query).json or {})["events"]]


def cursors(person: Person, order: str) -> list[str]:
    """Return the cursor after each event, except the last in an order by date."""
    texts: list[str] = []
    query = f"?order={order}&limit=1"
    while ids(person, query):
        link = read(person, query).headers.get("Link", "")
        if not link:
            break
        texts.append(link.partition("cursor=")[2].partition(">")[0].partition("&")[0])
        query = f"?order={order}&limit=1&cursor={texts[-1]}"
    return texts


def move(source: Service, target: Service, *projects: str) -> str:
    options = [option for name in projects for option in ("--project", name)]
    return source.command.run("migrate", "--to", target.url, *options).decode()


def test_a_project_moves_into_a_database_that_is_in_use(pair: tuple[Service, Service]) -> None:
    source, target = pair
    alice, bob, carol = source.person("shop"), source.person("bank"), target.person("news")
    bound = source.person("shop", scopes=["read"], bound='{"name": ["sign_up"]}')
    for number in range(0, 12, 3):
        post(alice, number, number + 1)
        post(bob, 100 + number)
        post(carol, 200 + number)
    once = {**alice.headers, "Idempotency-Key": "once"}
    assert alice.post(event(20), headers=once).status_code == 201
    assert "Copied 9 events. All 9 are the same" in move(source, target, "shop")
    assert target.client(bound).events() == []
    post(alice, 30, 31)
    post(carol, 300)
    assert "Copied 2 events. All 11 are the same" in move(source, target, "shop")
    moved = target.client(alice)
    for order in ("arrival", "date", "newest"):
        assert ids(moved, f"?order={order}") == ids(alice, f"?order={order}")
        for cursor in cursors(alice, order):
            query = f"?order={order}&cursor={cursor}"
            assert ids(moved, query) == ids(alice, query)
    assert ids(carol) == [200, 203, 206, 209, 300]
    assert target.client(bob).get().status_code == 401
    assert b"bank" not in target.command.run("projects", "list")
    last = cursors(alice, "arrival")[-1]
    assert moved.post(event(20), headers=once).status_code == 201
    post(moved, 40)
    assert ids(moved, f"?order=arrival&cursor={last}") == [40]
    refusal = source.command.refuse("migrate", "--to", target.url, "--project", "shop")
    assert "'shop', and it has events of its own" in refusal


def test_everything_moves_in_every_direction(pair: tuple[Service, Service]) -> None:
    source, target = pair
    alice, bob = source.person("shop"), source.person("bank")
    for number in range(6):
        post(alice if number % 2 else bob, number)
    move(source, target)
    post(alice, 10, 11)
    assert "Copied 2 events. All 8 are the same" in move(source, target)
    for person in (alice, bob):
        moved = target.client(person)
        assert ids(moved) == ids(person)
        for cursor in cursors(person, "arrival"):
            query = f"?order=arrival&cursor={cursor}"
            assert ids(moved, query) == ids(person, query)
    last = cursors(bob, "arrival")[-1]
    post(target.client(bob), 20)
    assert ids(target.client(bob), f"?order=arrival&cursor={last}") == [20]


def add_followers(service: Service, *names: str) -> None:
    values = {"project_id": 1, "parameters": "{}", "cursor": "0", "updated": timestamps.now()}
    with service.app.app_context(), current_writer().transaction() as connection:
        for name in names:
            connection.execute(insert(Follower).values(name=name, **values))


def test_followers_that_were_removed_are_removed_from_the_copy(
    files: tuple[Service, Service],
) -> None:
    source, target = files
    add_followers(source, "first", "second", "third")
    move(source, target)
    with source.app.app_context():
        for name in ("first", "second", "third"):
            registry.remove(1, name)
    add_followers(source, "third", "first")
    move(source, target)
    with target.app.app_context():
        assert [row.name for row in registry.list_all()] == ["first", "third"]


def test_a_kill_at_any_commit_leaves_a_copy_that_continues(pair: tuple[Service, Service]) -> None:
    source, target = pair
    alice, carol = source.person("shop"), target.person("news")
    for number in range(4):
        assert alice.post(event(number), headers={**alice.headers, "Idempotency-Key": f"{number}"})
    post(alice, *range(4, 8))
    post(carol, 100)
    arguments = ["migrate", "--to", target.url, "--project", "shop"]
    for points in (1, 3, 5, 6):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(points), *arguments],
            env=os.environ | source.command.environment,
            capture_output=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        post(carol, 100 + points)
    move(source, target, "shop")
    assert ids(target.client(alice)) == ids(alice) == list(range(8))
    for number, cursor in enumerate(cursors(alice, "arrival")):
        assert ids(target.client(alice), f"?order=arrival&cursor={cursor}")[:1] == (
            [number + 1] if number < 7 else []
        )
    assert ids(carol) == [100, 101, 103, 105, 106]


def test_a_cursor_after_the_last_copied_event_is_gone(files: tuple[Service, Service]) -> None:
    source, target = files
    alice = source.person("shop")
    post(alice, 1)
    move(source, target, "shop")
    post(alice, 2)
    cursor = cursors(alice, "arrival")[-1]
    assert target.client(alice).get(f"?order=arrival&cursor={cursor}").status_code == 410


def test_a_project_with_events_of_its_own_is_left_unchanged(files: tuple[Service, Service]) -> None:
    source, target = files
    alice, carol = source.person("shop"), target.person("shop")
    post(alice, 1)
    post(carol, 2)
    refusal = source.command.refuse("migrate", "--to", target.url, "--project", "shop")
    assert "it has events of its own" in refusal
    assert ids(carol) == [2]
    assert target.client(alice).get().status_code == 401


def test_deleted_events_are_deleted_from_the_copy_if_it_is_unchanged(
    files: tuple[Service, Service],
) -> None:
    source, target = files
    alice = source.person("shop")
    post(alice, 1, 2, 3)
    move(source, target, "shop")
    source.command.run("erase", "--project", "shop", "--yes", "id=2")
    assert "Copied 0 events. All 2 are the same" in move(source, target, "shop")
    assert ids(target.client(alice)) == [1, 3]
    with target.app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        connection.exec_driver_sql("UPDATE event SET data = '{}' WHERE id = 3")
    source.command.run("erase", "--project", "shop", "--yes", "id=1")
    refusal = source.command.refuse("migrate", "--to", target.url, "--project", "shop")
    assert "differ" in refusal or "not those that were copied" in refusal
    assert ids(target.client(alice)) == [1, 3]


def test_a_restored_source_deletes_no_copies(
    files: tuple[Service, Service], tmp_path: Path
) -> None:
    source, target = files
    alice = source.person("shop")
    post(alice, 1)
    move(source, target, "shop")
    restored = Bytelog(tmp_path / "restored")
    restored.folder.mkdir()
    source.command.run("backup", restored.folder / "bytelog.db")
    post(alice, 2)
    move(source, target, "shop")
    restored.run("import", "--project", "bank", text=json.dumps(event(3)).encode())
    refusal = restored.refuse("migrate", "--to", target.url, "--project", "shop")
    assert "restored from a backup" in refusal
    assert ids(target.client(alice)) == [1, 2]


def test_a_project_does_not_return_to_where_it_came_from(files: tuple[Service, Service]) -> None:
    source, target = files
    alice = source.person("shop")
    post(alice, 1)
    move(source, target, "shop")
    source.command.run("projects", "delete", "shop", "--yes")
    refusal = target.command.refuse("migrate", "--to", source.url, "--project", "shop")
    assert "came from there" in refusal
    target.command.run("projects", "delete", "shop", "--yes")


def test_a_wrong_target_or_project_is_refused(files: tuple[Service, Service]) -> None:
    source, target = files
    source.person("shop")
    assert "of this service" in source.command.refuse("migrate", "--to", source.url)
    refusal = source.command.refuse("migrate", "--to", target.url, "--project", "sohp")
    assert "there is no project 'sohp'" in refusal


@pytest.mark.postgresql
def test_a_migration_waits_for_the_events_that_are_being_committed(
    open_service: Callable[[str], Service],
) -> None:
    source, target = open_service("postgresql"), open_service("sqlite").url + ".copy"
    post(source.person("shop"), 1)
    migrate = ("migrate", "--to", target, "--project", "shop")
    source.command.run(*migrate)
    with source.app.app_context():
        backend = backend_of(db.engine)
        with backend.open_writer() as connection, backend.transaction(connection):
            shop = projects.find("shop")
            backend.insert(connection, [(shop, 2, "click", "a", event(2)["date"], "{}")])
            assert "has locked the database; try again" in source.command.refuse(*migrate)
    assert b"Copied 1 events" in source.command.run(*migrate)
