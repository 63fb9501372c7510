from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from sqlalchemy import update
from support.api import EVENTS, Person
from support.server import Server, wait_for

from bytelog.auth import keys
from bytelog.storage.models import ApiKey
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database


def last_uses(app: Flask) -> dict[str, date | None]:
    with app.app_context():
        return {key.name: key.last_used for key in keys.list_all()}


def today() -> date:
    return datetime.now(UTC).date()


def test_the_day_of_the_last_use_of_a_key_is_noted(app: Flask, alice: Person, bob: Person) -> None:
    assert last_uses(app) == {"alice": None, "bob": None}
    assert alice.get().status_code == 200
    wait_for(lambda: last_uses(app) == {"alice": today(), "bob": None})
    assert bob.post({}).status_code == 400
    wait_for(lambda: last_uses(app) == {"alice": today(), "bob": today()})


def test_a_later_day_replaces_an_earlier_one(app: Flask, alice: Person) -> None:
    with app.app_context(), current_writer().transaction() as connection:
        connection.execute(update(ApiKey).values(last_used=date(2021, 8, 15)))
    assert alice.get().status_code == 200
    wait_for(lambda: last_uses(app) == {"alice": today()})


def test_a_refused_key_is_not_used(app: Flask, alice: Person) -> None:
    with app.app_context():
        keys.revoke("alice")
    assert alice.get().status_code == 401
    assert last_uses(app) == {"alice": None}


def test_a_process_notes_a_key_once_a_day(
    app: Flask, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.auth.cache.CACHE_SECONDS", 0)
    alice.get()
    wait_for(lambda: last_uses(app)["alice"])
    monkeypatch.setattr("bytelog.auth.last_use.RETRY_SECONDS", 0)
    commits: list[object] = []
    monkeypatch.setattr("bytelog.auth.last_use._write", lambda *written: commits.append(written))
    assert [alice.get().status_code for _ in range(3)] == [200] * 3
    assert commits == []


@pytest.mark.sqlite_file
def test_a_request_neither_waits_nor_fails_if_its_day_cannot_be_written(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    (server.key,) = server.log.read_text().split("once:\n\n  ")[1].split()[:1]
    with closing(sqlite3.connect(server.folder / "data" / "bytelog.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        for path in (EVENTS, f"{EVENTS}/names", "/api/v1/key"):
            assert server.request(path).status == 200
        assert server.request("/healthz").status == 200
        assert "Error" not in server.log.read_text()
