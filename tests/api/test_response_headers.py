from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support.api import CLICK, EVENTS, Person
from support.server import Server
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from bytelog import create_app
from bytelog.api.response_headers import SECURITY_HEADERS
from bytelog.config import MAX_BODY_BYTES, NUMBERS, SetupError

SHOP = "https://shop.example"
ALLOWED = "Access-Control-Allow-Origin"


def client(tmp_path: Path, origins: str) -> FlaskClient:
    app = create_app({"BYTELOG_API_KEY": "k", "BYTELOG_CORS_ORIGINS": origins}, tmp_path)
    return app.test_client()


def page(origin: str, key: str = "k") -> dict[str, str]:
    return {"Origin": origin, "Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["", "?start=x", "/trace/1", "/nothing"])
def test_every_response_has_the_security_headers(alice: Person, path: str) -> None:
    headers = alice.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_responses_of_the_http_server_itself_have_the_security_headers(server: Server) -> None:
    response = server.raw(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n").decode()
    assert response.startswith("HTTP/1.1 400")
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}\r\n" in response


def test_a_redirect_names_no_scheme_and_no_host(app: Flask) -> None:
    client = Client(DispatcherMiddleware(app, {"/bytelog": app}))
    response = client.get("/bytelog?name=click")
    assert response.status_code == 308
    assert response.headers["Location"] == "/bytelog/?name=click"


def test_no_other_origin_is_allowed_unless_it_is_set(alice: Person) -> None:
    assert ALLOWED not in alice.get(Origin=SHOP).headers


def test_a_page_of_an_allowed_origin_can_post_and_read(tmp_path: Path) -> None:
    shop = client(tmp_path, f"{SHOP}, http://localhost:3000")
    for origin in (SHOP, "http://localhost:3000"):
        assert shop.post(EVENTS, json=CLICK, headers=page(origin)).headers[ALLOWED] == origin
        response = shop.get(EVENTS, headers=page(origin))
        assert response.headers[ALLOWED] == origin
        assert "Origin" in response.headers.getlist("Vary")


@pytest.mark.parametrize(
    "other_origin",
    ["https://shop.example.org", "http://shop.example", "https://shop-example", "null"],
)
def test_a_page_of_another_origin_cannot(tmp_path: Path, other_origin: str) -> None:
    response = client(tmp_path, SHOP).get(EVENTS, headers=page(other_origin))
    assert ALLOWED not in response.headers


def test_every_origin_is_allowed_by_a_star(tmp_path: Path) -> None:
    client_of_any_origin = client(tmp_path, "*")
    headers = client_of_any_origin.get(EVENTS, headers=page("https://x.example")).headers
    assert headers[ALLOWED] in ("*", "https://x.example")
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_preflight_request_needs_no_key(tmp_path: Path) -> None:
    request_headers = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    response = client(tmp_path, SHOP).options(EVENTS, headers=request_headers)
    assert response.status_code == 200
    assert response.headers[ALLOWED] == SHOP
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"]
    assert allowed == "authorization, content-type, idempotency-key"


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [(EVENTS, "wrong", 401), (f"{EVENTS}?start=x", "k", 400), (f"{EVENTS}/x", "k", 404)],
)
def test_an_error_has_the_cors_headers_too(
    tmp_path: Path, path: str, key: str, status: int
) -> None:
    response = client(tmp_path, SHOP).get(path, headers=page(SHOP, key))
    assert response.status_code == status
    assert response.headers[ALLOWED] == SHOP
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Retry-After", "Bytelog-Detail"} <= {*exposed}


def test_a_body_that_is_too_large_has_the_cors_headers_too(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_CORS_ORIGINS=SHOP)
    limit = NUMBERS["BYTELOG_BATCH_BYTES"] or 0
    for size in (MAX_BODY_BYTES + 1, limit + 1):
        head = (
            f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {SHOP}\r\n"
            f"Authorization: Bearer {server.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\n\r\n"
        )
        body = b"1" * size if size < limit else b""
        response = server.raw(head.encode() + body).decode()
        assert response.startswith("HTTP/1.1 413"), response
        assert f"{ALLOWED}: {SHOP}" in response


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://shop.example:443", SHOP),
        ("http://SHOP.example:80", "http://shop.example"),
    ],
)
def test_an_origin_is_compared_exactly(tmp_path: Path, setting: str, origin: str) -> None:
    shop = client(tmp_path, setting)
    assert shop.get(EVENTS, headers=page(origin)).headers[ALLOWED] == origin
    other_origins = [
        "http://1:3000.evil.example",
        f"{origin}.evil.example",
        f"{origin}0",
        "http://:",
    ]
    for other_origin in other_origins:
        assert ALLOWED not in shop.get(EVENTS, headers=page(other_origin)).headers, other_origin


@pytest.mark.parametrize(
    "origins",
    [
        *(
            "shop.example",
            "https://shop.example/",
            "https://*.example",
            "http://[::1",
            "http://[1]",
        ),
        *("https://shop.example:0", "https://shop.example:65536"),
    ],
)
def test_an_invalid_origin_is_refused_at_the_start(tmp_path: Path, origins: str) -> None:
    with pytest.raises(SetupError, match="is not an origin"):
        create_app({"BYTELOG_CORS_ORIGINS": origins}, tmp_path)


def test_responses_of_a_host_application_stay_unchanged(tmp_path: Path) -> None:
    from bytelog import init_app

    host = Flask(__name__)
    init_app(host, {"BYTELOG_API_KEY": "k"}, tmp_path)
    assert "Content-Security-Policy" not in host.test_client().get("/").headers
