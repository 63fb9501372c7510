"""The parts that the descriptions of several endpoints in OpenAPI share."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema
from werkzeug.http import HTTP_STATUS_CODES

from . import members

JSON, CSV = "application/json", "text/csv"
TEXT = {"type": "string"}
NEXT = {
    "description": 'The next page, relative to this request: `<?…>; rel="next"` (RFC 8288).',
    "schema": TEXT,
}


EVENTS, QUESTIONS, SERVICE = "events", "questions", "service"
TAGS = [
    {"name": EVENTS, "description": "Record events and read them."},
    {"name": QUESTIONS, "description": "Count events, and compare their traces."},
    {"name": SERVICE, "description": "The key, the health and the description of the service."},
]
"""The groups of operations. Generators name modules after them."""


def require_scope(scope: str) -> dict[str, Any]:
    """Return what an operation that requires a scope of the key has.

    OpenAPI allows the scope in `security`, but linters know only the scopes of OAuth.
    """
    return {"security": [{"key": []}], "x-scope": scope}


def name_response(status: int) -> str:
    """Return the name under which the document keeps the response with a status."""
    return HTTP_STATUS_CODES[status].replace(" ", "")


def describe_response(description: str, schema: object, example: object) -> dict[str, Any]:
    """Return the description of a response with an object."""
    return {
        "description": description,
        "content": {JSON: {"schema": schema, "example": example}},
    }


def describe_read(schema: type[Schema], response: dict[str, Any], *errors: int) -> dict[str, Any]:
    """Return what operations that read events share: a scope, filters, and errors.

    `errors` are the statuses that not all of them have.
    """
    statuses = sorted((400, 401, 403, 429, 503, *errors))
    return {
        **require_scope("read"),
        "parameters": describe_query(schema),
        "responses": {200: response, **name_errors(*statuses)},
    }


def describe_query(schema: type[Schema]) -> list[dict[str, Any]]:
    """Return the parameters of a schema, and those that filter by members of `data`."""
    return [{"in": "query", "schema": schema}, _describe_members()]


def _describe_members() -> dict[str, Any]:
    return {
        "in": "query",
        "name": "members",
        "description": "Only events whose `data` has these values, as in `data.plan=pro`, or "
        "fulfills an operator, as in `data.amount[gt]=5`.",
        "style": "form",
        "explode": True,
        "schema": members.SCHEMA,
        # Explorers send an invented filter unless there is an example.
        "example": {},
    }


def name_errors(*statuses: int) -> dict[int, str]:
    """Return the names of the responses to requests that fail, by status."""
    return {status: name_response(status) for status in statuses}
