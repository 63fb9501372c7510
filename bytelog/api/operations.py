"""The description of each endpoint in OpenAPI, under the name of its view."""

from __future__ import annotations

import json
from typing import Any

from ..config import EVENT_STREAM, IDEMPOTENCY_HOURS, MAX_TEXT_LENGTH
from ..events import schemas
from ..queries.formats import LINES_TYPES
from . import (
    erasure,
    idempotency,
    parameters,
    question_operations,
    response_schemas,
    streams,
)
from .operation_parts import (
    CSV,
    EVENTS,
    JSON,
    NEXT,
    SERVICE,
    TEXT,
    describe_query,
    describe_read,
    describe_response,
    name_errors,
    require_scope,
)

_EVENT = {
    "id": 5,
    "name": "paypal_payment",
    "trace_id": "03758690",
    "date": "2021-08-15T23:43:41.507Z",
    "data": {"client_id": "17039485"},
}
_LISTING = {"count": 1, "events": [_EVENT]}
_LINE = json.dumps(_EVENT) + "\n"
_BLOCK = f"id: k1c9b7a2e0d4f6385-qkzvbwtm\ndata: {json.dumps(_EVENT)}\n\n"
_COPY = {"copy": {"operationId": "register_events", "requestBody": "$response.body#/events/0"}}


def operations_by_view() -> dict[str, dict[str, Any]]:
    """Return the operation of each view; its schemas are marshmallow's classes."""
    return {
        **question_operations.operations_by_view(),
        "events.register_events": _describe_register_events(),
        "events.list_events": _describe_list_events(),
        "events.follow_trace": _describe_follow_trace(),
        "erasure.erase_events": _describe_erase_events(),
        "key.describe_key": _describe_key(),
        "health.check_health": _describe_check_health(),
        "openapi.describe_api": _describe_openapi(),
    }


def _describe_register_events() -> dict[str, Any]:
    return {
        "tags": [EVENTS],
        "summary": "Register an event, or a batch of events",
        "description": "The response comes once the events are on the disk. A batch is stored as a "
        "whole or not at all.",
        **require_scope("write"),
        "parameters": [_describe_idempotency_key()],
        "requestBody": {
            "description": "I-JSON (RFC 7493), which may be compressed with gzip. A body of the "
            "type `text/plain` is read as JSON too. Where they are on, CloudEvents 1.0 are "
            "accepted in all their modes.",
            "required": True,
            "content": _describe_bodies(),
        },
        "responses": {
            201: {"description": "The events are stored.", "links": _build_links("$request.body#")},
            **name_errors(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    }


def _describe_list_events() -> dict[str, Any]:
    response = _describe_listing() | {"links": _build_links("$response.body#/events/0") | _COPY}
    response["content"] |= {EVENT_STREAM: {"schema": TEXT, "example": _BLOCK}}
    operation = describe_read(parameters.ListingParameters, response, 410)
    return {
        "tags": [EVENTS],
        "summary": "Get all events",
        "description": "Returns all events, or those that match the parameters. A client that "
        "accepts `text/event-stream` gets all that arrive, as server-sent events: without `limit` "
        "and `wait`, in order of arrival, from now or from the `cursor` on.",
        **operation,
        "parameters": [*operation["parameters"], _describe_last_id()],
    }


def _describe_follow_trace() -> dict[str, Any]:
    return {
        "tags": [EVENTS],
        "summary": "Follow a trace id",
        "description": "Returns the events of a trace, or those that match the parameters.",
        **require_scope("read"),
        "parameters": [_describe_trace_id(), *describe_query(parameters.TraceParameters)],
        "responses": {200: _describe_listing(), **name_errors(400, 401, 403, 404, 410, 429, 503)},
    }


def _describe_erase_events() -> dict[str, Any]:
    either = {"oneOf": [response_schemas.ErasureSchema, response_schemas.CountSchema]}
    response = describe_response("The number of events.", either, {"deleted": 1})
    return {
        "tags": [EVENTS],
        "summary": "Erase events",
        "description": "Deletes the events that match all filters, of which there must be one, and "
        "removes their text from the files of the database.",
        **describe_read(erasure.ErasureParameters, response, 507),
        **require_scope("delete"),
    }


def _describe_last_id() -> dict[str, Any]:
    return {
        "in": "header",
        "name": streams.HEADER,
        "description": "Where a stream of events continues, in place of `cursor`: the last `id` "
        "that it sent. A listing ignores it.",
        "schema": TEXT,
    }


def _describe_key() -> dict[str, Any]:
    example = {"project": "default", "key": "shop", "scopes": ["read", "write"]}
    return {
        "tags": [SERVICE],
        "summary": "Describe the key of the request",
        "description": "Returns the names of the key and of its project, and what the key may do.",
        **require_scope("read"),
        "responses": {
            200: describe_response("The key.", response_schemas.KeySchema, example),
            **name_errors(401, 403, 429, 503),
        },
    }


def _describe_check_health() -> dict[str, Any]:
    works = describe_response("It works.", response_schemas.HealthSchema, {"status": "ok"})
    return {
        "tags": [SERVICE],
        "summary": "Check whether the service works",
        "description": "For load balancers and container platforms: 200 if events can be read and "
        "recorded, 503 otherwise.",
        "security": [],
        "responses": {200: works, **name_errors(503)},
    }


def _describe_openapi() -> dict[str, Any]:
    document = describe_response("This document.", {"type": "object"}, {"openapi": "3.1.0"})
    return {
        "tags": [SERVICE],
        "summary": "Describe the API",
        "description": "Returns this document, for generated clients and API explorers.",
        "security": [],
        "responses": {200: document},
    }


def _describe_bodies() -> dict[str, Any]:
    batch = {"type": "array", "items": schemas.NewEventSchema, "minItems": 1}
    lines = batch | {"description": "One event per line."}
    return {
        JSON: {"schema": {"oneOf": [schemas.NewEventSchema, batch]}, "example": _EVENT},
        **{name: {"schema": lines, "example": [_EVENT]} for name in LINES_TYPES},
    }


def _describe_listing() -> dict[str, Any]:
    response = describe_response("The events.", response_schemas.ListingSchema, _LISTING)
    lines = {"schema": TEXT, "example": _LINE}
    response["content"] |= {**dict.fromkeys(LINES_TYPES, lines), CSV: {"schema": TEXT}}
    return response | {"headers": {"Link": NEXT}}


def _build_links(event: str) -> dict[str, Any]:
    trace = {"operationId": "follow_trace", "parameters": {"trace_id": f"{event}/trace_id"}}
    since = {"operationId": "list_events", "parameters": {"start": f"{event}/date"}}
    return {"trace": trace, "since": since}


def _describe_trace_id() -> dict[str, Any]:
    return {
        "in": "path",
        "name": "trace_id",
        "description": "Any text but `.` and `..`, percent-encoded, slashes included.",
        "schema": {"type": "string", "minLength": 1},
        "example": _EVENT["trace_id"],
    }


def _describe_idempotency_key() -> dict[str, Any]:
    return {
        "in": "header",
        "name": idempotency.HEADER,
        "description": "A unique value, such as a UUID, makes it safe to send this request again: "
        f"the events are stored once. At most {MAX_TEXT_LENGTH} ASCII characters, perhaps in "
        f"quotes. The project remembers the key for {IDEMPOTENCY_HOURS} hours.",
        # No example: explorers would send it with every event, and only the first would be stored.
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_LENGTH + 2},
    }
