from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person

from bytelog import Access, Bytelog, create_app, init_app
from bytelog.auth import keys

pytestmark = pytest.mark.each_database

SERVICES = {
    "alice's": Access("shop", {"read", "write"}, "alice"),
    "anne's": Access("shop", {"read", "write"}, "anne"),
    "the reader's": Access("shop", ["read"]),
    "bob's": Access("bank", ("read", "write")),
}


def authenticate(token: str | None, environ: dict[str, Any]) -> Access | None:
    if environ.get("HTTP_X_INTERNAL_USER") == "alice":
        return Access("shop", {"read"}, "alice")
    return SERVICES.get(token or "")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"BYTELOG_API_KEY": "example_api_key"}, tmp_path, authenticate)


def person(app: Flask, key: str) -> Person:
    return Person(app.test_client(), key)


def test_keys_of_the_host_grant_access_to_their_projects(app: Flask) -> None:
    assert person(app, "alice's").post(CLICK).status_code == 201
    assert person(app, "the reader's").events() == [CLICK]
    assert person(app, "bob's").events() == []
    assert list(Bytelog(app).events(project="shop")) == [CLICK]


def test_a_header_of_the_host_is_accepted(app: Flask) -> None:
    person(app, "alice's").post(CLICK)
    response = app.test_client().get(EVENTS, headers={"X-Internal-User": "alice"})
    assert response.json == {"count": 1, "events": [CLICK]}
    response = app.test_client().get(
        EVENTS, headers={"X-Internal-User": "alice", "Authorization": "Basic YWxpY2U6"}
    )
    assert response.status_code == 200


def test_a_password_of_a_user_of_the_host_is_not_passed_as_a_token(tmp_path: Path) -> None:
    tokens: list[str | None] = []

    def note(token: str | None, environ: dict[str, Any]) -> Access | None:
        tokens.append(token)
        return Access("shop", {"read"}) if "HTTP_AUTHORIZATION" in environ else None

    client = create_app({}, tmp_path, note).test_client()
    assert client.get(EVENTS, auth=("alice", "alice's")).status_code == 200
    assert tokens == [None]


def test_a_rejected_key_gets_the_same_response_as_an_unknown_one(app: Flask) -> None:
    refused = person(app, "mallory's").get()
    assert refused.status_code == 401
    assert refused.json == {"error": "unauthorized"}
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    response = app.test_client().get(EVENTS)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="bytelog"'


def test_a_key_without_the_scope_gets_its_name(app: Flask) -> None:
    forbidden = person(app, "the reader's").post(CLICK)
    assert forbidden.status_code == 403
    assert 'scope="write"' in forbidden.headers["WWW-Authenticate"]


def test_keys_of_bytelog_grant_no_access(app: Flask) -> None:
    with app.app_context():
        key = keys.create("carol", "shop")
    assert person(app, key).get().status_code == 401
    assert person(app, "example_api_key").get().status_code == 401


def test_a_revoked_key_stops_working_at_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = person(app, "alice's")
    assert alice.get().status_code == 200
    monkeypatch.delitem(SERVICES, "alice's")
    assert alice.get().status_code == 401


def test_each_user_of_a_project_has_a_rate_limit(tmp_path: Path) -> None:
    app = create_app({"BYTELOG_RATE_LIMIT": "2 per hour"}, tmp_path, authenticate)
    alice = person(app, "alice's")
    assert [alice.get().status_code for _ in range(3)] == [200, 200, 429]
    assert person(app, "anne's").get().status_code == 200
    assert person(app, "bob's").get().status_code == 200


def test_a_failing_authentication_function_gets_500(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str | None, __: dict[str, Any]) -> Access | None:
        raise LookupError("the directory of users is down")

    response = person(create_app({}, tmp_path / "other", fail), "alice's").get()
    assert response.status_code == 500
    assert response.json == {"error": "internal server error"}
    assert "the directory of users is down" in caplog.text


def test_init_app_accepts_an_authentication_function_too(tmp_path: Path) -> None:
    host = Flask("host")
    init_app(host, instance_path=tmp_path, authenticate=authenticate)
    assert person(host, "alice's").post(CLICK).status_code == 201
    assert person(host, "the reader's").events() == [CLICK]
