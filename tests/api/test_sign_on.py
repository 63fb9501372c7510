from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.server import Server
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.config import SetupError

pytestmark = pytest.mark.each_database

PROXY = {"BYTELOG_PROXY_USER": "Remote-User", "BYTELOG_PROXY_NETWORKS": "10.1.0.0/16, fd00::/8"}
KEY = "/api/v1/key"


@pytest.fixture
def app(tmp_path: Path, database: str) -> Flask:
    settings = {**PROXY, "BYTELOG_PROXY_PROJECT": "X-Project", "BYTELOG_RATE_LIMIT": "9 per hour"}
    return create_app(settings, tmp_path)


def ask(app: Flask, path: str = KEY, peer: str = "10.1.2.3", **headers: str) -> TestResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Remote-User": "anna", "X-Project": "shop", **names}
    return app.test_client().get(path, headers=headers, environ_overrides={"REMOTE_ADDR": peer})


def test_a_user_of_the_proxy_reads_the_project_that_it_names(app: Flask, alice: Person) -> None:
    alice.post(CLICK)
    assert ask(app, EVENTS).json == {"count": 1, "events": [CLICK]}
    assert ask(app).json == {"project": "shop", "key": "anna", "scopes": ["read"]}
    name = "Jörg".encode().decode("latin-1")
    assert ask(app, Remote_User=name).json["key"] == "Jörg"  # type: ignore[index]


def test_without_a_header_for_projects_users_read_the_default_project(tmp_path: Path) -> None:
    app = create_app({**PROXY, "BYTELOG_API_KEY": "k"}, tmp_path)
    assert Person(app.test_client(), "k").post(CLICK).status_code == 201
    assert ask(app, EVENTS, X_Project="bank").json == {"count": 1, "events": [CLICK]}


@pytest.mark.parametrize("project", ["bazaar", "", "shop, shop"])
@pytest.mark.usefixtures("alice")
def test_a_reader_creates_no_project(app: Flask, project: str) -> None:
    refused = ask(app, X_Project=project)
    assert (refused.status_code, refused.json) == (403, {"error": "forbidden"})
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert ask(app, X_Project=project).status_code == 403


def test_a_user_of_the_proxy_cannot_write(app: Flask, alice: Person) -> None:
    headers = {"Remote-User": "anna", "X-Project": "shop"}
    peer = {"REMOTE_ADDR": "10.1.2.3"}
    refused = app.test_client().post(EVENTS, json=CLICK, headers=headers, environ_overrides=peer)
    assert refused.status_code == 403
    assert alice.events() == []


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        *(("10.1.255.255", 200), ("fd00::1", 200), ("::ffff:10.1.2.3", 200)),
        *(("10.2.0.1", 401), ("::1", 401), ("::ffff:10.2.0.1", 401)),
        *(("", 401), ("localhost", 401), ("10.1.2.3, 10.2.0.1", 401)),
    ],
)
@pytest.mark.usefixtures("alice")
def test_the_header_counts_only_from_the_networks_of_the_proxy(
    app: Flask, peer: str, status: int
) -> None:
    response = ask(app, peer=peer, X_Forwarded_For="10.1.2.3", Forwarded="for=10.1.2.3")
    assert response.status_code == status


@pytest.mark.usefixtures("alice")
def test_a_host_that_trusts_forwarded_addresses_lets_in_nobody_else(app: Flask) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert ask(app, peer="192.0.2.1", X_Forwarded_For="10.1.2.3").status_code == 401
    assert ask(app, X_Forwarded_For="192.0.2.1").status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic YW5uYTo=", "Negotiate x", "", " "])
@pytest.mark.usefixtures("alice")
def test_a_wrong_key_never_falls_back_to_the_user(app: Flask, header: str) -> None:
    assert ask(app, Authorization=header).status_code == 401


def test_a_key_counts_instead_of_the_user(app: Flask, alice: Person, bob: Person) -> None:
    alice.post(CLICK)
    assert ask(app, EVENTS, **bob.headers).json == {"count": 0, "events": []}


@pytest.mark.parametrize("user", ["", " ", "anna, admin", "anna,"])
@pytest.mark.usefixtures("alice")
def test_a_header_without_one_user_names_nobody(app: Flask, user: str) -> None:
    assert ask(app, Remote_User=user).status_code == 401


def test_each_user_has_a_rate_limit(app: Flask, alice: Person) -> None:
    assert [ask(app).status_code for _ in range(10)] == [200] * 9 + [429]
    assert ask(app, Remote_User="bert").status_code == 200
    assert alice.get().status_code == 200


@pytest.mark.parametrize("origin", ["https://shop.example", "null", "https://log.example"])
def test_no_page_of_another_origin_reads_as_the_user(tmp_path: Path, origin: str) -> None:
    app = create_app({**PROXY, "BYTELOG_CORS_ORIGINS": "*"}, tmp_path)
    assert ask(app, EVENTS).status_code == 200
    refused = ask(app, EVENTS, Origin=origin)
    assert refused.status_code == 401
    assert "Access-Control-Allow-Credentials" not in refused.headers


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"BYTELOG_PROXY_NETWORKS": None}, "needs BYTELOG_PROXY_NETWORKS"),
        ({"BYTELOG_PROXY_NETWORKS": " "}, "needs BYTELOG_PROXY_NETWORKS"),
        ({"BYTELOG_PROXY_NETWORKS": "10.1.2.3/16"}, "has host bits set"),
        ({"BYTELOG_PROXY_NETWORKS": "10.1.0.0/16,"}, "contains ''"),
        ({"BYTELOG_PROXY_NETWORKS": "proxy.example"}, "separated by commas"),
        ({"BYTELOG_PROXY_NETWORKS": "::1, 0.0.0.0/0"}, "every address"),
        ({"BYTELOG_PROXY_USER": "Remote_User"}, "hyphens"),
        ({"BYTELOG_PROXY_USER": "Remote User"}, "hyphens"),
        ({"BYTELOG_PROXY_PROJECT": "X_Project"}, "BYTELOG_PROXY_PROJECT must be"),
        ({"BYTELOG_PROXY_USER": None}, "need BYTELOG_PROXY_USER"),
    ],
)
@pytest.mark.before_database
def test_a_wrong_setting_is_refused_at_the_start(
    tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SetupError, match=problem):
        create_app({**PROXY, **settings}, tmp_path)


@pytest.mark.before_database
def test_the_server_knows_a_user_by_one_header_of_the_exact_name_only(
    serve: Callable[..., Server],
) -> None:
    server = serve(**{**PROXY, "BYTELOG_PROXY_NETWORKS": "127.0.0.1/32"})

    def status(*headers: str) -> bytes:
        lines = "".join(f"{header}\r\n" for header in headers)
        head = f"GET {KEY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"
        return server.raw(head.encode("latin-1")).split()[1]

    assert status("remote-user: anna") == b"200"
    assert status("Remote_User: anna") == b"401"
    assert status("HTTP_REMOTE_USER: anna") == b"401"
    assert status("Remote_User: mallory", "Remote-User: anna") == b"200"
    assert status("Remote-User: mallory", "Remote-User: anna") == b"401"
    assert status("Remote-User: ", "Remote-User: anna") == b"401"
    assert status("Remote-User: anna", "Authorization: Bearer x") == b"401"
