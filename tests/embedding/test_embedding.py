from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from support.api import CLICK, EVENTS
from support.server import Server, wait_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

from bytelog import create_app, init_app

HEADERS = {"Authorization": "Bearer example_api_key"}


@pytest.fixture
def host(tmp_path: Path) -> Flask:
    """Return an internal tool with its own database, error pages, hooks and catch-all route."""
    app = Flask("host")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'host.db'}"
    app.config["BYTELOG_API_KEY"] = "example_api_key"
    database = SQLAlchemy(app)

    @app.before_request
    def sign_in() -> None:
        app.extensions["requests seen"] = app.extensions.get("requests seen", 0) + 1

    @app.route("/tables")
    def tables() -> list[str]:
        names = database.session.scalars(text("SELECT name FROM sqlite_master"))
        return list(names)

    @app.route("/api/v1/users/<path:name>")
    def user(name: str) -> str:
        return abort(404) if name == "nobody" else name

    @app.cli.command("serve")
    def own_serve() -> None:
        click.echo("the host's own command")

    @app.errorhandler(404)
    def render_not_found(_: Exception) -> tuple[str, int]:
        return "the host's own page", 404

    return app


@pytest.fixture
def client(host: Flask, tmp_path: Path) -> FlaskClient:
    init_app(host, instance_path=tmp_path / "data")
    return host.test_client()


def test_the_api_is_served(client: FlaskClient) -> None:
    assert client.post(EVENTS, json=CLICK, headers=HEADERS).status_code == 201
    expected = {"count": 1, "events": [CLICK]}
    assert client.get(EVENTS, headers=HEADERS).json == expected
    assert client.get(f"{EVENTS}/trace/03775690", headers=HEADERS).json == expected


def test_the_api_keeps_its_own_error_format(client: FlaskClient) -> None:
    assert client.get(EVENTS).json == {"error": "unauthorized"}
    assert client.put(EVENTS).headers["Allow"]
    assert client.get(f"{EVENTS}/nothing").json == {"error": "not found"}


def test_the_host_keeps_its_routes_pages_and_database(client: FlaskClient) -> None:
    client.post(EVENTS, json=CLICK, headers=HEADERS)
    assert client.get("/api/v1/users/alice").text == "alice"
    assert client.get("/api/v1/users/nobody").text == "the host's own page"
    assert client.get("/api/v1/eventsource").text == "the host's own page"
    assert client.get("/healthz").text == "the host's own page"
    assert client.get("/tables").json == []


def test_the_hosts_hooks_do_not_run_for_the_api(host: Flask, client: FlaskClient) -> None:
    client.post(EVENTS, json=CLICK, headers=HEADERS)
    assert "requests seen" not in host.extensions
    client.get("/tables")
    assert host.extensions["requests seen"] == 1


def test_the_flask_command_of_the_host_creates_keys(host: Flask, client: FlaskClient) -> None:
    result = host.test_cli_runner().invoke(args=["keys", "create", "alice"])
    assert result.exit_code == 0, result.output
    own = host.test_cli_runner().invoke(args=["serve"])
    assert own.output == "the host's own command\n"
    headers = {"Authorization": f"Bearer {result.output.strip()}"}
    assert client.get(EVENTS, headers=headers).status_code == 200


def test_the_host_keeps_its_own_keys_command(host: Flask, tmp_path: Path) -> None:
    @host.cli.command("keys")
    def own_keys() -> None:
        click.echo("the host's own keys")

    init_app(host, instance_path=tmp_path / "data")
    assert host.test_cli_runner().invoke(args=["keys"]).output == "the host's own keys\n"


def test_the_application_can_be_mounted_under_a_prefix(tmp_path: Path) -> None:
    service = create_app({"BYTELOG_API_KEY": "example_api_key"}, tmp_path)
    client = Client(DispatcherMiddleware(Flask("host"), {"/bytelog": service}))
    posted = client.post(f"/bytelog{EVENTS}", json=CLICK, headers=HEADERS)
    assert posted.status_code == 201
    listed: Response = client.get(f"/bytelog{EVENTS}", headers=HEADERS)
    assert listed.get_json() == {"count": 1, "events": [CLICK]}


def test_two_applications_in_a_process_are_independent(tmp_path: Path) -> None:
    settings = {"BYTELOG_API_KEY": "example_api_key"}
    one, two = (create_app(settings, tmp_path / name).test_client() for name in ("one", "two"))
    one.post(EVENTS, json=CLICK, headers=HEADERS)
    assert one.get(EVENTS, headers=HEADERS).json == {"count": 1, "events": [CLICK]}
    assert two.get(EVENTS, headers=HEADERS).json == {"count": 0, "events": []}


@pytest.mark.slow
def test_flask_run_serves_the_same_application(tmp_path: Path, server: Server) -> None:
    server.stop()
    port = server.url.rpartition(":")[2]
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "run", "--port", port],
        cwd=Path(__file__).parents[2],
        env={"BYTELOG_DATA": str(tmp_path / "data"), "BYTELOG_API_KEY": "example_api_key"},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(lambda: server.request("/healthz").status == 200)
            assert server.request(EVENTS, b'{"id":1,"name":"n","trace_id":"a/b"}').status == 201
            assert server.request(f"{EVENTS}/trace/a%2Fb").body.startswith(b'{"count":1,')
        finally:
            process.terminate()


def test_a_service_without_keys_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = create_app(instance_path=tmp_path)
    assert caplog.messages == []
    for _ in range(2):
        assert host.test_client().get(EVENTS).status_code == 401
    assert caplog.messages == [
        f"every request gets 401, because there is no API key in {tmp_path / 'bytelog.db'}. "
        "Create one with `bytelog keys create NAME`, or set BYTELOG_API_KEY."
    ]


def test_a_service_with_a_key_or_its_own_authentication_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyed = create_app({"BYTELOG_API_KEY": "k"}, tmp_path)
    own = create_app(instance_path=tmp_path / "own", authenticate=lambda *_: None)
    for host in (keyed, own):
        assert host.test_client().get(EVENTS).status_code == 401
    assert caplog.messages == []
