"""What the API's description says of each endpoint, under the name of its view."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

from ..config import IDEMPOTENCY_HOURS, MAX_MEMBERS, MAX_TEXT_LENGTH
from ..events import schemas
from . import idempotency, parameters, response_schemas

JSON, LINES, CSV = "application/json", "application/x-ndjson", "text/csv"

_EVENT = {
    "id": 5,
    "name": "paypal_payment",
    "trace_id": "03758690",
    "date": "2021-08-15T23:43:41.507Z",
    "data": {"client_id": "17039485"},
}
_LISTING = {"count": 1, "events": [_EVENT]}
_LINE = json.dumps(_EVENT) + "\n"
_TEXT = {"type": "string"}
_SUMMARY = {
    "count": 1,
    "names": {"paypal_payment": 1},
    "buckets": [{"date": "2021-08-15T00:00:00.000Z", "count": 1, "names": {"paypal_payment": 1}}],
}
_PATHS = {
    "count": 3,
    "traces": 2,
    "names": [
        {"name": "click", "count": 2, "starts": 2, "ends": 1},
        {"name": "paypal_payment", "count": 1, "starts": 0, "ends": 1},
    ],
    "transitions": [{"from": "click", "to": "paypal_payment", "count": 1, "median_seconds": 120.5}],
}
_NEXT = {
    "description": 'The next page, relative to this one: `<?…>; rel="next"` (RFC 8288).',
    "schema": _TEXT,
}
_COPY = {"copy": {"operationId": "register_events", "requestBody": "$response.body#/events/0"}}


def name(status: int) -> str:
    """Return the name under which the document keeps the answer with a status."""
    return HTTP_STATUS_CODES[status].replace(" ", "")


def operations_by_view() -> dict[str, dict[str, Any]]:
    """Return, for each view, its operation in OpenAPI; schemas stand as marshmallow's classes."""
    return {
        "events.register_events": {
            "summary": "Register an event, or a batch of them",
            "description": "Answers when they are on the disk; a batch is stored whole or not.",
            "security": [{"key": ["write"]}],
            "parameters": [_idempotency_key()],
            "requestBody": {
                "description": "I-JSON (RFC 7493), packed by gzip or not. What comes as "
                "`text/plain` is read as JSON too.",
                "required": True,
                "content": _batch(),
            },
            "responses": {
                201: {"description": "They are stored.", "links": _links("$request.body#")},
                **_name_errors(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
            },
        },
        "events.list_events": {
            "summary": "Get all events",
            "description": "All, or those of a window that have the values asked for.",
            "security": [{"key": ["read"]}],
            "parameters": [{"in": "query", "schema": parameters.ListingParameters}, _members()],
            "responses": {
                200: _listing() | {"links": _links("$response.body#/events/0") | _COPY},
                **_name_errors(400, 401, 403, 429, 503),
            },
        },
        "events.follow_trace": {
            "summary": "Follow a trace id",
            "security": [{"key": ["read"]}],
            "parameters": [
                _trace_id(),
                {"in": "query", "schema": parameters.TraceParameters},
                _members(),
            ],
            "responses": {
                200: _listing(),
                **_name_errors(400, 401, 403, 404, 429, 503),
            },
        },
        "events.summarize": {
            "summary": "Count events",
            "description": "By name, and by stretches of time.",
            "security": [{"key": ["read"]}],
            "parameters": [{"in": "query", "schema": parameters.SummaryParameters}, _members()],
            "responses": {
                200: _describe_response("The counts.", response_schemas.SummarySchema, _SUMMARY),
                **_name_errors(400, 401, 403, 429, 503),
            },
        },
        "events.count_paths": {
            "summary": "Count what follows what",
            "description": "Joins the events that are asked for within their traces, by date, and "
            "counts which name follows which, with which names the traces start, and with which "
            "they end.",
            "security": [{"key": ["read"]}],
            "parameters": [{"in": "query", "schema": parameters.PathsParameters}, _members()],
            "responses": {
                200: _describe_response("The counts.", response_schemas.PathsSchema, _PATHS),
                **_name_errors(400, 401, 403, 429, 503),
            },
        },
        "health.healthz": {
            "summary": "Tell whether the service works",
            "responses": {
                200: _describe_response(
                    "It does.", response_schemas.HealthSchema, {"status": "ok"}
                ),
                **_name_errors(503),
            },
        },
        "openapi.describe_api": {
            "summary": "Describe the API",
            "responses": {
                200: _describe_response("This document.", {"type": "object"}, {"openapi": "3.1.0"})
            },
        },
    }


def _describe_response(description: str, schema: object, example: object) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": schema, "example": example}},
    }


def _batch() -> dict[str, Any]:
    batch = {"type": "array", "items": schemas.EventSchema, "minItems": 1}
    lines = batch | {"description": "An event a line."}
    return {
        JSON: {"schema": {"oneOf": [schemas.EventSchema, batch]}, "example": _EVENT},
        LINES: {"schema": lines, "example": [_EVENT]},
    }


def _listing() -> dict[str, Any]:
    answer = _describe_response("The events.", response_schemas.ListingSchema, _LISTING)
    answer["content"] |= {LINES: {"schema": _TEXT, "example": _LINE}, CSV: {"schema": _TEXT}}
    return answer | {"headers": {"Link": _NEXT}}


def _members() -> dict[str, Any]:
    return {
        "in": "query",
        "name": "members",
        "description": f"Only events whose `data` has these values: `{parameters.MEMBER}client=5`; "
        "the names of nested members are joined by dots.",
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "propertyNames": {"pattern": parameters.MEMBER_PATTERN},
            "maxProperties": MAX_MEMBERS,
        },
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


def _name_errors(*statuses: int) -> dict[int, str]:
    return {status: name(status) for status in statuses}
