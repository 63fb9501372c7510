"""`/openapi.json`: the API as OpenAPI 3.1 tells it, generated from the schemas.

A new field or parameter of a schema shows up by itself; a new endpoint needs an entry in
`_operations`, under the name of its view.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, current_app, request
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from . import idempotency, schemas
from .config import IDEMPOTENCY_HOURS, MAX_BODY_BYTES, MAX_TEXT_LENGTH
from .errors import PROBLEM

if TYPE_CHECKING:
    from apispec import APISpec

JSON = "application/json"

blueprint = Blueprint("openapi", __name__)

_ABOUT = """\
Applications post business events; people and programs read them back by date, or follow one trace
id through the business logic.

Every error is `{"error": "<short text>"}`, or, for a client that sends
`Accept: application/problem+json`, a problem of RFC 9457. A path answers a method that it does not
have with 405 and `Allow`.
"""

_ERRORS = {
    400: "A field, a parameter or a header is missing, unknown or not valid.",
    401: "There is no API key, or one that is malformed, unknown, expired or revoked.",
    403: "The API key lacks the scope that the request needs.",
    404: "The path ends before the trace id.",
    409: "The first request with this `Idempotency-Key` has not been answered yet; try again.",
    413: f"The body is larger than {MAX_BODY_BYTES} bytes.",
    415: "The body is not said to be JSON.",
    422: "This `Idempotency-Key` came before, with another body.",
    429: "There were too many requests with this API key; try again later.",
    503: "The database is busy or failed, or too many long listings are being read; try again.",
    507: "The server's disk is full; nothing was stored.",
}

_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "Which key is asked for, and what is wrong with the one sent (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    }
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "How many seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_HEADERS = {401: _CHALLENGE, 403: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}

_EVENT = {
    "id": 5,
    "name": "paypal_payment",
    "trace_id": "03758690",
    "date": "2021-08-15T23:43:41.507Z",
    "data": {"client_id": "17039485"},
}
_LISTING = {"count": 1, "events": [_EVENT]}
_COPY = {"copy": {"operationId": "register_event", "requestBody": "$response.body#/events/0"}}


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def describe_api() -> Response:
    """Send the document; its server is the place that was asked for it, under whatever prefix."""
    made = current_app.extensions
    if "bytelog.openapi" not in made:
        made["bytelog.openapi"] = document(current_app)
    servers = [{"url": request.script_root or "/"}]
    return Response(json.dumps(made["bytelog.openapi"] | {"servers": servers}), mimetype=JSON)


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of an application's endpoints, without its servers."""
    spec = _specification()
    operations = _operations()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in operations:
            name = {"operationId": rule.endpoint.rpartition(".")[2]}
            # HTTP gives the other two to every path that has GET.
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            details = name | operations[rule.endpoint]
            spec.path(path, operations=dict.fromkeys(map(str.lower, methods), details))
    return spec.to_dict()


def _specification() -> APISpec:
    # Not at the top: few servers are asked for the document, and all want to start fast.
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin

    plugin: Any = MarshmallowPlugin()
    spec = APISpec("bytelog", "1", "3.1.0", [plugin], info={"description": _ABOUT})
    plugin.converter.add_attribute_function(_json_schema)
    spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    for status in _ERRORS:
        spec.components.response(_name(status), _error(status))
    return spec


def _json_schema(_: object, field: object, ret: dict[str, Any]) -> dict[str, Any]:
    # What is said of one field wins over what is said of its kind.
    return getattr(field, "json_schema", {}) | ret


def _name(status: int) -> str:
    return HTTP_STATUS_CODES[status].replace(" ", "")


def _error(status: int) -> dict[str, Any]:
    title = HTTP_STATUS_CODES[status]
    short = {"error": "validation error" if status == 400 else title.lower()}
    problem = {"type": "about:blank", "title": title, "status": status, "detail": _ERRORS[status]}
    return {
        "description": _ERRORS[status],
        "headers": _HEADERS.get(status, {}),
        "content": {
            JSON: {"schema": schemas.ErrorSchema, "example": short},
            PROBLEM: {"schema": schemas.ProblemSchema, "example": problem | short},
        },
    }


def _errors(*statuses: int) -> dict[int, str]:
    return {status: _name(status) for status in statuses}


def _operations() -> dict[str, dict[str, Any]]:
    return {
        "events.register_event": {
            "summary": "Register an event",
            "description": "Answers when the event is on the disk.",
            "security": [{"key": ["write"]}],
            "parameters": [_idempotency_key()],
            "requestBody": {
                "description": "I-JSON (RFC 7493). What comes as `text/plain` is read as JSON too.",
                "required": True,
                "content": {JSON: {"schema": schemas.EventSchema, "example": _EVENT}},
            },
            "responses": {
                201: {"description": "The event is stored.", "links": _links("$request.body#")},
                **_errors(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
            },
        },
        "events.list_events": {
            "summary": "Get all events",
            "description": "All, or those of a window: from `start` on and before `end`.",
            "security": [{"key": ["read"]}],
            "parameters": [{"in": "query", "schema": schemas.WindowSchema}],
            "responses": {
                200: _answer("The events.", schemas.ListingSchema, _LISTING)
                | {"links": _links("$response.body#/events/0") | _COPY},
                **_errors(400, 401, 403, 429, 503),
            },
        },
        "events.follow_trace": {
            "summary": "Follow a trace id",
            "security": [{"key": ["read"]}],
            "parameters": [_trace_id(), {"in": "query", "schema": schemas.NoParameters}],
            "responses": {
                200: _answer("The events that carry it.", schemas.ListingSchema, _LISTING),
                **_errors(400, 401, 403, 404, 429, 503),
            },
        },
        "health.healthz": {
            "summary": "Tell whether the service works",
            "responses": {
                200: _answer("It does.", schemas.HealthSchema, {"status": "ok"}),
                **_errors(503),
            },
        },
        "openapi.describe_api": {
            "summary": "Describe the API",
            "responses": {200: _answer("This document.", {"type": "object"}, {"openapi": "3.1.0"})},
        },
    }


def _answer(description: str, schema: object, example: object) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": schema, "example": example}},
    }


def _links(event: str) -> dict[str, Any]:
    trace = {"operationId": "follow_trace", "parameters": {"trace_id": f"{event}/trace_id"}}
    since = {"operationId": "list_events", "parameters": {"start": f"{event}/date"}}
    return {"trace": trace, "since": since}


def _trace_id() -> dict[str, Any]:
    return {
        "in": "path",
        "name": "trace_id",
        "description": "Any text, encoded for a URL with its slashes; not `.` or `..`.",
        "schema": {"type": "string", "minLength": 1},
        "example": _EVENT["trace_id"],
    }


def _idempotency_key() -> dict[str, Any]:
    quoted = {"pattern": r'^"([ !#-\[\]-~]|\\["\\])+"$', "maxLength": MAX_TEXT_LENGTH + 2}
    bare = {"pattern": "^[!#-~]+$", "maxLength": MAX_TEXT_LENGTH}
    return {
        "in": "header",
        "name": idempotency.HEADER,
        "description": "A value of its own, such as a UUID, lets this request be sent again: the "
        f"event is stored once. The key is known for {IDEMPOTENCY_HOURS} hours in its project.",
        "schema": {"type": "string", "anyOf": [quoted, bare]},
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    }
