from __future__ import annotations

import pytest
from flask import Flask
from support.server import Server

pytestmark = pytest.mark.each_database


def test_a_healthy_server_reports_ok_without_a_key(app: Flask) -> None:
    response = app.test_client().get("/healthz")
    assert (response.status_code, response.data) == (200, b'{"status": "ok"}')


@pytest.mark.sqlite_file
def test_the_health_check_gets_503_when_the_database_does_not_respond(server: Server) -> None:
    database = server.folder / "data" / "bytelog.db"
    database.write_bytes(b"not a database" * 1000)
    response = server.request("/healthz")
    assert response.status == 503
    assert response.headers["Retry-After"]
