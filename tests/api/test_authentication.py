from __future__ import annotations

import os
import re
import sqlite3
import statistics
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select
from support.api import CLICK, EVENTS, Person
from support.server import Server, wait_for

from bytelog import create_app
from bytelog.auth import keys
from bytelog.storage.database import db, fetch
from bytelog.storage.models import Event

pytestmark = pytest.mark.each_database

PATHS = [EVENTS, f"{EVENTS}/trace/03775690"]


@pytest.mark.parametrize("path", PATHS)
def test_a_request_without_a_key_gets_401_and_a_challenge(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    assert response.status_code == 401
    assert response.json == {"error": "unauthorized"}
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="bytelog"'


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "Bearer nobody", "byl_", "Bearer a b", "Bearer \xff"),
        *("Basic YTpi", "Basic", "Basic !", "Basic YTpi=", "Basic \xff"),
        *("Basic Ynls", "Basic Ojo=", "Basic Og==", "Basic //86/w==", "Basic YTpi YTpi"),
    ],
)
def test_an_invalid_key_gets_401_invalid_token(app: Flask, header: str) -> None:
    response = app.test_client().get(EVENTS, headers={"Authorization": header})
    assert response.status_code == 401
    expected = 'Bearer realm="bytelog", error="invalid_token"'
    assert response.headers["WWW-Authenticate"] == expected


@pytest.mark.before_database
def test_the_scheme_is_case_insensitive(alice: Person) -> None:
    header = alice.headers["Authorization"].replace("Bearer", "bEARER")
    assert alice.client.get(EVENTS, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("credentials", ["{}:", ":{}", "alice:{}"])
def test_http_basic_has_the_key_as_password_or_alone_as_user_name(
    alice: Person, bob: Person, credentials: str
) -> None:
    header = {"Authorization": write_basic(credentials.format(alice.key))}
    assert alice.client.post(EVENTS, json=CLICK, headers=header).status_code == 201
    assert alice.client.get(EVENTS, headers=header).json == {"count": 1, "events": [CLICK]}
    both = {"Authorization": write_basic(f"{alice.key}:{bob.key}")}
    assert alice.client.get(EVENTS, headers=both).json == {"count": 0, "events": []}


def write_basic(credentials: str) -> str:
    text = credentials.encode("utf-8", "surrogateescape")
    return f"bASIC {b64encode(text).decode()}"


@pytest.mark.parametrize(("scope", "other"), [("read", "POST"), ("write", "GET")])
def test_a_key_without_the_scope_gets_403(
    person: Callable[..., Person], scope: str, other: str
) -> None:
    carol = person("carol", "shop", scopes=[scope])
    response = carol.post(CLICK) if other == "POST" else carol.get()
    lacking = "write" if other == "POST" else "read"
    assert response.status_code == 403
    assert response.json == {"error": "forbidden"}
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="bytelog", error="insufficient_scope", scope="{lacking}"'
    )
    allowed = carol.get() if other == "POST" else carol.post(CLICK)
    assert allowed.status_code in (200, 201)


def test_a_project_sees_no_event_of_another(alice: Person, bob: Person) -> None:
    alice.post(CLICK)
    assert bob.events() == []
    trace = bob.client.get(f"{EVENTS}/trace/03775690", headers=bob.headers)
    assert trace.json == {"count": 0, "events": []}
    assert alice.events() == [CLICK]


def test_two_keys_of_a_project_share_its_events(person: Callable[..., Person]) -> None:
    person("alice", "shop").post(CLICK)
    assert person("dave", "shop").events() == [CLICK]


def test_an_expired_key_gets_401(person: Callable[..., Person]) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    carol = person("carol", "shop", expires=soon)
    assert carol.get().status_code == 200
    wait_for(lambda: carol.get().status_code == 401, seconds=2.5)


def test_a_revoked_key_stops_working_within_a_second(app: Flask, alice: Person) -> None:
    assert alice.get().status_code == 200
    with app.app_context():
        keys.revoke("alice")
    wait_for(lambda: alice.get().status_code == 401, seconds=1)


@pytest.mark.sqlite_file
def test_no_event_can_have_a_project_that_does_not_exist(app: Flask, alice: Person) -> None:
    with app.app_context(), sqlite3.connect(str(db.engine.url.database)) as shell:
        shell.execute("DELETE FROM project WHERE name = 'shop'")
    shell.close()
    assert alice.post(CLICK).status_code == 401
    with app.app_context():
        assert fetch(db.engine, select(func.count()).select_from(Event)) == [(0,)]


@pytest.mark.parametrize("key", ["example_api_key", "k", "schlüssel ☃", "успех", "\udcff\udcfe"])
def test_the_key_from_the_environment_belongs_to_the_default_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, key: str
) -> None:
    monkeypatch.setenv("BYTELOG_API_KEY", key)
    client = create_app(instance_path=str(tmp_path)).test_client()
    header = {"Authorization": "Bearer " + os.fsencode(key).decode("latin-1")}
    assert client.post(EVENTS, json=CLICK, headers=header).status_code == 201
    assert client.get(EVENTS, headers=header).json == {"count": 1, "events": [CLICK]}
    basic = {"Authorization": write_basic(f":{key}")}
    assert client.get(EVENTS, headers=basic).json == {"count": 1, "events": [CLICK]}
    assert client.get(EVENTS, headers={"Authorization": "Bearer other"}).status_code == 401


def test_an_empty_key_in_the_environment_grants_no_access(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("BYTELOG_API_KEY", "")
    client = create_app(instance_path=str(tmp_path)).test_client()
    assert client.get(EVENTS, headers={"Authorization": "Bearer "}).status_code == 401


def test_a_key_has_a_checksum_and_is_stored_as_a_digest(app: Flask, alice: Person) -> None:
    key = alice.headers["Authorization"].removeprefix("Bearer ")
    assert re.fullmatch(r"byl_[0-9A-Za-z]{36}", key)
    assert keys.compute_checksum(key[4:-6]) == key[-6:]
    with app.app_context():
        assert key not in str(keys.list_all())
        assert keys.digest(key) in str(keys.list_all())


@pytest.mark.before_database
def test_no_key_is_ever_logged(serve: Callable[..., Server]) -> None:
    server = serve("--access-log", BYTELOG_API_KEY="secret_of_alice")
    secrets = ["secret_of_alice", "secret_of_mallory"]
    headers = [f"Bearer {key}" for key in secrets] + [write_basic(f"{key}:") for key in secrets]
    for header in headers:
        server.request(EVENTS, Authorization=header)
        # The headers of a large body are checked before it arrives.
        for body in (b"{", b"{" * 10_000):
            server.request(EVENTS, body, Authorization=header)
    assert server.stop() == 0
    log = server.log.read_text()
    assert "GET /api/v1/events 200" in log
    assert "GET /api/v1/events 401" in log
    assert "secret" not in log
    assert not any(header.split()[1] in log for header in headers)


@pytest.mark.before_database
def test_no_key_is_in_the_process_title(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY="secret_of_alice")
    process = Path(f"/proc/{server.process.pid}")
    titles = [(process / "cmdline").read_text(), (process / "comm").read_text()]
    titles += [(thread / "comm").read_text() for thread in (process / "task").iterdir()]
    assert "secret" not in " ".join(titles)


def test_an_unknown_and_a_revoked_key_get_the_same_response_in_the_same_time(app: Flask) -> None:
    with app.app_context():
        revoked = keys.create("alice", "shop")
        keys.revoke("alice")
    unknown = revoked[:-8] + "x" * 8
    client = app.test_client()
    seconds: dict[str, list[float]] = {revoked: [], unknown: []}
    for number, key in enumerate([revoked, unknown] * 400):
        headers = {"Authorization": f"Bearer {key}"}
        # Each address may send only a few wrong keys a second.
        environ = {"REMOTE_ADDR": str(number)}
        began = time.perf_counter()
        response = client.get(EVENTS, headers=headers, environ_overrides=environ)
        seconds[key].append(time.perf_counter() - began)
        assert (response.status_code, response.json) == (401, {"error": "unauthorized"})
        assert "invalid_token" in response.headers["WWW-Authenticate"]
    first, second = (statistics.median(taken) for taken in seconds.values())
    assert first == pytest.approx(second, rel=0.2)
