"""Clients with keys for the HTTP interface of an application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

EVENTS = "/api/v1/events"
CLICK: dict[str, Any] = {
    "id": 1,
    "name": "click",
    "trace_id": "03775690",
    "date": "2021-08-15T23:41:41.507Z",
    "data": {"clicked_on": "sign up button"},
}


class Person:
    """A client with a key, which sends requests to an application."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.key = key
        self.headers = {"Authorization": f"Bearer {key}"}

    def post(self, body: object, **changes: Any) -> TestResponse:
        arguments: dict[str, Any] = {"headers": self.headers, **changes}
        if isinstance(body, bytes):
            return self.client.post(EVENTS, data=body, content_type="application/json", **arguments)
        return self.client.post(EVENTS, json=body, **arguments)

    def get(self, query: str = "", **headers: str) -> TestResponse:
        return self.client.get(EVENTS + query, headers={**self.headers, **headers})

    def read(self, query: str = "") -> dict[str, Any]:
        response = self.get(query)
        assert response.status_code == 200, response.text
        assert response.json is not None
        return dict(response.json)

    def events(self, query: str = "") -> list[dict[str, Any]]:
        listing = self.read(query)
        assert listing["count"] == len(listing["events"])
        return list(listing["events"])


def close(application: Flask) -> None:
    last_uses = application.extensions.get("bytelog.last_uses")
    if last_uses and (thread := last_uses._thread):  # noqa: SLF001
        thread.join()
    writer = application.extensions.get("bytelog.writer")
    if writer and writer._connection and not writer._connection.closed:  # noqa: SLF001
        writer.close()
    if database := application.extensions.get("sqlalchemy"):
        with application.app_context():
            for engine in database.engines.values():
                engine.dispose()
