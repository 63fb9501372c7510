"""People with keys, at an application's HTTP interface."""

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
    """Somebody with a key, at an application's HTTP interface."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {key}"}

    def post(self, body: object, **changes: Any) -> TestResponse:
        arguments: dict[str, Any] = {"headers": self.headers, **changes}
        if isinstance(body, bytes):
            return self.client.post(EVENTS, data=body, content_type="application/json", **arguments)
        return self.client.post(EVENTS, json=body, **arguments)

    def get(self, query: str = "", **headers: str) -> TestResponse:
        return self.client.get(EVENTS + query, headers={**self.headers, **headers})

    def events(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.get(query)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        assert answer.json["count"] == len(answer.json["events"])
        return list(answer.json["events"])


def close(application: Flask) -> None:
    writer = application.extensions.get("bytelog.writer")
    if writer and writer._connection and not writer._connection.closed:  # noqa: SLF001
        writer.close()
    if database := application.extensions.get("sqlalchemy"):
        with application.app_context():
            for engine in database.engines.values():
                engine.dispose()
