"""Batches of events."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.test import TestResponse

from support.api import CLICK, EVENTS, Person

JSON, LINES = "application/json", "application/x-ndjson"


def clicks(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**CLICK, "id": i, **changes} for i in range(number)]


def written(kind: str, *values: object) -> bytes:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return ("\n".join(texts) if kind == LINES else f"[{','.join(texts)}]").encode()


def send(person: Person, body: bytes, kind: str = JSON, **headers: str) -> TestResponse:
    header_lines = {name.replace("_", "-"): value for name, value in headers.items()}
    header_lines |= {"Accept": "application/problem+json", **person.headers}
    return person.client.post(EVENTS, data=body, content_type=kind, headers=header_lines)


def problems(response: TestResponse) -> list[str]:
    assert response.status_code == 400, response.text
    assert response.json is not None
    return [problem["pointer"] for problem in response.json["errors"]]
