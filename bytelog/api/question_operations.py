"""The descriptions in OpenAPI of the endpoints that count and compare."""

from __future__ import annotations

from typing import Any

from ..config import NAMES_SAMPLE
from . import parameters, question_schemas, trace_parameters
from .operation_parts import CSV, NEXT, QUESTIONS, TEXT, describe_read, describe_response
from .summary_parameters import NamesParameters, SummaryParameters

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
            "first": "2021-08-15T23:43:41.507Z",
            "last": "2021-08-15T23:43:41.507Z",
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


def operations_by_view() -> dict[str, dict[str, Any]]:
    """Return the operation of each view; its schemas are marshmallow's classes."""
    return {
        "summaries.summarize": _describe_summarize(),
        "summaries.list_names": _describe_list_names(),
        "events.count_paths": _describe_count_paths(),
        "traces.list_traces": _describe_list_traces(),
        "traces.count_funnel": _describe_count_funnel(),
        "traces.compare_paths": _describe_compare_paths(),
    }


def _describe_summarize() -> dict[str, Any]:
    either = {"oneOf": [question_schemas.SummarySchema, question_schemas.GroupsSchema]}
    response = describe_response("The counts.", either, _SUMMARY)
    response["content"] |= {CSV: {"schema": TEXT}}
    return {
        "tags": [QUESTIONS],
        "summary": "Count events",
        "description": "Counts events by name, and by buckets of time; or in groups, by name and "
        "by members of `data`, whose numbers it adds up.",
        **describe_read(SummaryParameters, response),
    }


def _describe_list_names() -> dict[str, Any]:
    return {
        "tags": [QUESTIONS],
        "summary": "List the names of events",
        "description": "Counts the events of each name, and lists the members of `data` of the "
        f"newest {NAMES_SAMPLE:,} events.",
        **describe_read(
            NamesParameters,
            describe_response("The names.", question_schemas.NamesSchema, _NAMES),
        ),
    }


def _describe_count_paths() -> dict[str, Any]:
    return {
        "tags": [QUESTIONS],
        "summary": "Count which events follow which",
        "description": "Orders the events of each trace that has a matching event by date, and "
        "counts which name follows which, with which names traces start, and with which they end.",
        **describe_read(
            parameters.PathsParameters,
            describe_response("The counts.", question_schemas.PathsSchema, _PATHS),
        ),
    }


def _describe_list_traces() -> dict[str, Any]:
    response = describe_response("The traces.", question_schemas.TracesSchema, _TRACES)
    return {
        "tags": [QUESTIONS],
        "summary": "List traces",
        "description": "Returns the traces that have an event that matches the filters, in the "
        "window, ordered by the date of their first event.",
        **describe_read(
            trace_parameters.TracesParameters, response | {"headers": {"Link": NEXT}}, 410
        ),
    }


def _describe_count_funnel() -> dict[str, Any]:
    return {
        "tags": [QUESTIONS],
        "summary": "Count how many traces reach each step",
        "description": "Follows traces through steps in their order, with or without other events "
        "between them.",
        **describe_read(
            trace_parameters.FunnelParameters,
            describe_response("The counts.", question_schemas.FunnelSchema, _FUNNEL),
        ),
    }


def _describe_compare_paths() -> dict[str, Any]:
    return {
        "tags": [QUESTIONS],
        "summary": "Compare which events follow which in two windows",
        "description": "Tells which transitions are new, gone, slower, faster, rarer or more "
        "frequent than in another window, such as before a deployment.",
        **describe_read(
            trace_parameters.ComparisonParameters,
            describe_response("The changes.", question_schemas.ChangesSchema, _CHANGES),
        ),
    }
