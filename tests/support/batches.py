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
    texts = [it if isinstance(it, str) else json.dumps(it) for it in values]
    return ("\n".join(texts) if kind == LINES else f"[{','.join(texts)}]").encode()


def send(person: Person, body: bytes, kind: str = JSON, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"Accept": "application/problem+json", **person.headers}
    return person.client.post(EVENTS, data=body, content_type=kind, headers=named)


def problems(answer: TestResponse) -> list[str]:
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    return [problem["pointer"] for problem in answer.json["errors"]]
