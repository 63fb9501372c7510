"""The description of each endpoint in OpenAPI, under the name of its view."""

from __future__ import annotations

import json
from typing import Any

from marshmallow import Schema
from werkzeug.http import HTTP_STATUS_CODES

from ..config import IDEMPOTENCY_HOURS, MAX_MEMBERS, MAX_TEXT_LENGTH, NAMES_SAMPLE
from ..events import schemas
from . import idempotency, members, parameters, response_schemas, trace_parameters
from .summary_parameters import NamesParameters, SummaryParameters

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
_NAMES = {
    "count": 1,
    "names": [
        {
            "name": "paypal_payment",
            "count": 1,
            "first": _EVENT["date"],
            "last": _EVENT["date"],
            "members": {"client_id": ["string"]},
        }
    ],
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
_TRACES = {
    "count": 1,
    "traces": [
        {
            "trace_id": "03775690",
            "first": "2021-08-15T23:41:41.507Z",
            "last": "2021-08-15T23:45:45.507Z",
            "seconds": 244.0,
            "count": 2,
            "names": ["click", "click"],
        }
    ],
}
_FUNNEL = {
    "traces": 2,
    "steps": [
        {
            "name": "click",
            "count": 2,
            "median_seconds": None,
            "reached": "traces?step=click&step=paypal_payment&reached=1",
            "stopped": "traces?step=click&step=paypal_payment&stopped=1",
        },
        {
            "name": "paypal_payment",
            "count": 1,
            "median_seconds": 120.5,
            "reached": "traces?step=click&step=paypal_payment&reached=2",
            "stopped": "traces?step=click&step=paypal_payment&stopped=2",
        },
    ],
}
_CHANGES = {
    "traces": 2,
    "against_traces": 1,
    "new": [
        {
            "from": "click",
            "to": "paypal_payment",
            "count": 1,
            "against_count": 0,
            "median_seconds": 120.5,
            "against_median_seconds": None,
        }
    ],
    **{kind: [] for kind in ("gone", "slower", "faster", "rarer", "more_frequent")},
}
_NEXT = {
    "description": 'The next page, relative to this request: `<?…>; rel="next"` (RFC 8288).',
    "schema": _TEXT,
}
_COPY = {"copy": {"operationId": "register_events", "requestBody": "$response.body#/events/0"}}


def name_response(status: int) -> str:
    """Return the name under which the document keeps the response with a status."""
    return HTTP_STATUS_CODES[status].replace(" ", "")


def operations_by_view() -> dict[str, dict[str, Any]]:
    """Return the operation of each view; its schemas are marshmallow's classes."""
    return {
        "events.register_events": _describe_register_events(),
        "events.list_events": _describe_list_events(),
        "events.follow_trace": _describe_follow_trace(),
        "summaries.summarize": _describe_summarize(),
        "summaries.list_names": _describe_list_names(),
        "events.count_paths": _describe_count_paths(),
        "traces.list_traces": _describe_list_traces(),
        "traces.count_funnel": _describe_count_funnel(),
        "traces.compare_paths": _describe_compare_paths(),
        "health.healthz": _describe_healthz(),
        "openapi.describe_api": _describe_openapi(),
    }


def _describe_register_events() -> dict[str, Any]:
    return {
        "summary": "Register an event, or a batch of events",
        "description": "The response comes once the events are on the disk. A batch is stored as a "
        "whole or not at all.",
        "security": [{"key": ["write"]}],
        "parameters": [_describe_idempotency_key()],
        "requestBody": {
            "description": "I-JSON (RFC 7493), which may be compressed with gzip. A body of the "
            "type `text/plain` is read as JSON too.",
            "required": True,
            "content": _describe_bodies(),
        },
        "responses": {
            201: {"description": "The events are stored.", "links": _build_links("$request.body#")},
            **_name_errors(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    }


def _describe_list_events() -> dict[str, Any]:
    links = _build_links("$response.body#/events/0") | _COPY
    return {
        "summary": "Get all events",
        "description": "Returns all events, or those that match the parameters.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(parameters.ListingParameters),
        "responses": {
            200: _describe_listing() | {"links": links},
            **_name_errors(400, 401, 403, 410, 429, 503),
        },
    }


def _describe_follow_trace() -> dict[str, Any]:
    return {
        "summary": "Follow a trace id",
        "security": [{"key": ["read"]}],
        "parameters": [_describe_trace_id(), *_describe_query(parameters.TraceParameters)],
        "responses": {200: _describe_listing(), **_name_errors(400, 401, 403, 404, 410, 429, 503)},
    }


def _describe_summarize() -> dict[str, Any]:
    either = {"oneOf": [response_schemas.SummarySchema, response_schemas.GroupsSchema]}
    response = _describe_response("The counts.", either, _SUMMARY)
    response["content"] |= {CSV: {"schema": _TEXT}}
    return {
        "summary": "Count events",
        "description": "Counts events by name, and by buckets of time; or in groups, by name and "
        "by members of `data`, whose numbers it adds up.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(SummaryParameters),
        "responses": {200: response, **_name_errors(400, 401, 403, 429, 503)},
    }


def _describe_list_names() -> dict[str, Any]:
    return {
        "summary": "List the names of events",
        "description": "Counts the events of each name, and lists the members of `data` of the "
        f"newest {NAMES_SAMPLE:,} events.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(NamesParameters),
        "responses": {
            200: _describe_response("The names.", response_schemas.NamesSchema, _NAMES),
            **_name_errors(400, 401, 403, 429, 503),
        },
    }


def _describe_count_paths() -> dict[str, Any]:
    return {
        "summary": "Count which events follow which",
        "description": "Orders the events of each trace that has a matching event by date, and "
        "counts which name follows which, with which names traces start, and with which they end.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(parameters.PathsParameters),
        "responses": {
            200: _describe_response("The counts.", response_schemas.PathsSchema, _PATHS),
            **_name_errors(400, 401, 403, 429, 503),
        },
    }


def _describe_list_traces() -> dict[str, Any]:
    response = _describe_response("The traces.", response_schemas.TracesSchema, _TRACES)
    return {
        "summary": "List traces",
        "description": "Returns the traces that have an event that matches the filters, in the "
        "window, ordered by the date of their first event.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(trace_parameters.TracesParameters),
        "responses": {
            200: response | {"headers": {"Link": _NEXT}},
            **_name_errors(400, 401, 403, 410, 429, 503),
        },
    }


def _describe_count_funnel() -> dict[str, Any]:
    return {
        "summary": "Count how many traces reach each step",
        "description": "Follows traces through steps in their order, with or without other events "
        "between them.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(trace_parameters.FunnelParameters),
        "responses": {
            200: _describe_response("The counts.", response_schemas.FunnelSchema, _FUNNEL),
            **_name_errors(400, 401, 403, 429, 503),
        },
    }


def _describe_compare_paths() -> dict[str, Any]:
    return {
        "summary": "Compare which events follow which in two windows",
        "description": "Tells which transitions are new, gone, slower, faster, rarer or more "
        "frequent than in another window, such as before a deployment.",
        "security": [{"key": ["read"]}],
        "parameters": _describe_query(trace_parameters.ComparisonParameters),
        "responses": {
            200: _describe_response("The changes.", response_schemas.ChangesSchema, _CHANGES),
            **_name_errors(400, 401, 403, 429, 503),
        },
    }


def _describe_healthz() -> dict[str, Any]:
    works = _describe_response("It works.", response_schemas.HealthSchema, {"status": "ok"})
    return {
        "summary": "Check whether the service works",
        "responses": {200: works, **_name_errors(503)},
    }


def _describe_openapi() -> dict[str, Any]:
    document = _describe_response("This document.", {"type": "object"}, {"openapi": "3.1.0"})
    return {"summary": "Describe the API", "responses": {200: document}}


def _describe_response(description: str, schema: object, example: object) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": schema, "example": example}},
    }


def _describe_bodies() -> dict[str, Any]:
    batch = {"type": "array", "items": schemas.EventSchema, "minItems": 1}
    lines = batch | {"description": "One event per line."}
    return {
        JSON: {"schema": {"oneOf": [schemas.EventSchema, batch]}, "example": _EVENT},
        LINES: {"schema": lines, "example": [_EVENT]},
    }


def _describe_listing() -> dict[str, Any]:
    response = _describe_response("The events.", response_schemas.ListingSchema, _LISTING)
    response["content"] |= {LINES: {"schema": _TEXT, "example": _LINE}, CSV: {"schema": _TEXT}}
    return response | {"headers": {"Link": _NEXT}}


def _describe_query(schema: type[Schema]) -> list[dict[str, Any]]:
    return [{"in": "query", "schema": schema}, _describe_members()]


def _describe_members() -> dict[str, Any]:
    return {
        "in": "query",
        "name": "members",
        "description": "Only events whose `data` has these values, as in `data.plan=pro`, or "
        "fulfills an operator, as in `data.amount[gt]=5`.",
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "patternProperties": members.SCHEMAS,
            "additionalProperties": False,
            "maxProperties": MAX_MEMBERS,
        },
    }


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
    quoted = {"pattern": r'^"([ !#-\[\]-~]|\\["\\])+"$', "maxLength": MAX_TEXT_LENGTH + 2}
    bare = {"pattern": "^[!#-~]+$", "maxLength": MAX_TEXT_LENGTH}
    return {
        "in": "header",
        "name": idempotency.HEADER,
        "description": "A unique value, such as a UUID, makes it safe to send this request again: "
        f"the events are stored once. The project remembers the key for {IDEMPOTENCY_HOURS} hours.",
        "schema": {"type": "string", "anyOf": [quoted, bare]},
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    }


def _name_errors(*statuses: int) -> dict[int, str]:
    return {status: name_response(status) for status in statuses}
