from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person, close
from support.commands import Bytelog
from support.server import Server

from bytelog import Access, create_app
from bytelog import Bytelog as Events
from bytelog.auth import keys, projects
from bytelog.events import store
from bytelog.events.batches import load_event
from bytelog.follow.progress import Progress
from bytelog.follow.target import Message
from bytelog.maintenance import projects as administration
from bytelog.maintenance.arrivals import BEGINNING
from bytelog.storage.database import db
from bytelog.storage.idempotency import IdempotencyToken

pytestmark = pytest.mark.each_database

EVENT = load_event(json.dumps(CLICK).encode())


@pytest.fixture
def bytelog(app: Flask) -> Bytelog:
    return Bytelog(Path(app.instance_path))


def count(app: Flask, table: str) -> int:
    with app.app_context(), db.engine.connect() as connection:
        statement = f"SELECT count(*) FROM {table}"
        return int(connection.exec_driver_sql(statement).scalar_one())


def test_projects_are_listed_with_their_events_and_active_keys(
    alice: Person, bob: Person, bytelog: Bytelog
) -> None:
    alice.post([CLICK, CLICK])
    bytelog.run("keys", "create", "carol", "--project", "shop")
    bytelog.run("keys", "revoke", "bob")
    lines = bytelog.run("projects", "list").decode().splitlines()
    assert [line.split() for line in lines] == [
        ["PROJECT", "EVENTS", "KEYS"],
        ["bank", "0", "0"],
        ["default", "0", "0"],
        ["shop", "2", "2"],
    ]
    listed = json.loads(bytelog.run("projects", "list", "--json"))
    assert listed["projects"][2] == {"name": "shop", "events": 2, "keys": 2}


def test_a_renamed_project_keeps_its_events_and_keys(alice: Person, bytelog: Bytelog) -> None:
    alice.post(CLICK)
    bytelog.run("projects", "rename", "shop", "store")
    assert alice.events() == [CLICK]
    response = alice.client.get("/api/v1/key", headers=alice.headers)
    assert response.json is not None
    assert response.json["project"] == "store"
    assert "there is no project 'shop'" in bytelog.refuse("projects", "rename", "shop", "x")
    assert "already" in bytelog.refuse("projects", "rename", "store", "default")
    assert "cannot be renamed" in bytelog.refuse("projects", "rename", "default", "x")
    bytelog.environment["BYTELOG_KEEP"] = "store=1000000d"
    assert "Add the same rules for x" in bytelog.refuse("projects", "rename", "store", "x")
    bytelog.environment["BYTELOG_KEEP"] += ", x=1000000d"
    bytelog.run("projects", "rename", "store", "x")


def follow(app: Flask, project: str) -> None:
    """Keep the position of a follower that has set an event aside."""
    with app.app_context():
        progress = Progress(projects.find(project), "a", {})
        progress.claim(BEGINNING)
        progress.set_aside(Message("msg", b""), BEGINNING, BEGINNING, "refused")


def test_a_deleted_project_leaves_nothing_behind(
    app: Flask, alice: Person, bob: Person, bytelog: Bytelog, tmp_path: Path
) -> None:
    alice.post([CLICK, CLICK], headers={**alice.headers, "Idempotency-Key": "a"})
    bob.post(CLICK, headers={**bob.headers, "Idempotency-Key": "b"})
    (tmp_path / "events.ndjson").write_text(json.dumps(CLICK))
    for project in ("shop", "bank"):
        bytelog.run("import", "--project", project, tmp_path / "events.ndjson")
        follow(app, project)
    question = bytelog.finish("projects", "delete", "shop", text=b"n\n", status=1)[0]
    assert b"Delete the project shop with 3 events and 1 active keys?" in question
    assert len(alice.events()) == 3
    assert b"with 3 events" in bytelog.run("projects", "delete", "shop", text=b"y\n")
    assert count(app, "event") == 2
    for table in ("idempotency_key", "import_checkpoint", "api_key", "follower", "set_aside_event"):
        assert count(app, table) == 1
    assert alice.post(CLICK).status_code == 401
    assert len(bob.events()) == 2
    assert "there is no project 'shop'" in bytelog.refuse("projects", "delete", "shop", "--yes")
    refusal = bytelog.refuse("projects", "delete", "default", "--yes")
    assert "bytelog prune --project default" in refusal
    assert "is damaged" not in bytelog.run("check").decode()


def test_no_event_is_stored_in_a_deleted_project_and_its_id_is_not_used_again(
    app: Flask, alice: Person, bytelog: Bytelog
) -> None:
    with app.app_context():
        shop, bank = projects.get_or_create("shop"), projects.get_or_create("bank")
        for name in ("bank", "shop"):
            bytelog.run("projects", "delete", name, "--yes")
        for project_id in (shop, bank):
            store.record(project_id, [EVENT])
            token = IdempotencyToken(project_id, "a", "")
            store.record(project_id, [EVENT] * 100, token)
        assert [count(app, table) for table in ("event", "idempotency_key")] == [0, 0]
        key = keys.create("alice", "shop")
        assert projects.find("shop") > max(shop, bank)
    assert Person(app.test_client(), key).post([CLICK] * 200).status_code == 201
    assert count(app, "event") == 200
    assert b"damaged" not in bytelog.run("check")


def test_a_project_is_deleted_while_a_server_receives_its_events(
    server: Server,
) -> None:
    bytelog = Bytelog(server.folder / "data")
    key = bytelog.run("keys", "create", "alice", "--project", "shop").decode().strip()
    statuses: list[int] = []

    def post() -> None:
        while not statuses or statuses[-1] == 201:
            body = json.dumps(CLICK).encode()
            statuses.append(server.request(EVENTS, body, Authorization=f"Bearer {key}").status)

    thread = threading.Thread(target=post)
    thread.start()
    bytelog.run("projects", "delete", "shop", "--yes")
    thread.join()
    assert set(statuses) == {201, 401}
    listed = json.loads(bytelog.run("projects", "list", "--json"))
    assert listed == {"projects": [{"name": "default", "events": 0, "keys": 0}]}
    assert b"damaged" not in bytelog.run("check")


def test_a_host_program_records_into_a_new_project_after_a_deletion(
    app: Flask, tmp_path: Path
) -> None:
    close(app)
    host = create_app({}, app.instance_path, lambda *_: Access("shop", ["read", "write"]))
    assert host.test_client().post(EVENTS, json=CLICK).status_code == 201
    with host.app_context():
        list(administration.delete_project("shop"))
    Events(host).record(project="shop", **CLICK)
    listed = host.test_client().get(EVENTS).json
    assert listed == {"count": 1, "events": [CLICK]}
