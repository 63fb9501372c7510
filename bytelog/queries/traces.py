"""Listing traces: the newest first, by the date of their first event.

A page is read in two parts: the traces that start in the window, which the index by date finds, and
those that started before it and have a selected event in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import (
    FromClause,
    ScalarSelect,
    Select,
    bindparam,
    func,
    or_,
    select,
    type_coerce,
)

from ..storage.backend import Backend
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import JSONArray, Milliseconds
from ..storage.types import DateText
from .filters import build_window_conditions, in_project
from .selection import END, Cursor
from .trace_conditions import (
    Bound,
    Conditions,
    alias_events,
    build_trace_conditions,
    date_of,
    first_key,
    has_selected_event,
    in_trace,
)
from .trace_selection import TraceSelection, TraceShape, bind_traces

NAMES_OF_TRACE = 20
"""The names that describe a trace: those of its first events."""


class Trace(TypedDict):
    """A whole trace: its first and last date, the seconds between them, and its events."""

    trace_id: str
    first: str
    last: str
    seconds: float
    count: int
    names: list[str]


class TracePage(NamedTuple):
    """Traces, and the position of the last one if there are more."""

    traces: list[Trace]
    next: Cursor | None


def read(reader: Reader, selection: TraceSelection, limit: int) -> TracePage:
    """List the selected traces after the cursor; raises StorageError."""
    cursor = selection.events.cursor or Cursor(0, END)
    values = bind_traces(selection) | {"date": cursor.date, "key": cursor.key}
    rows: list[Sequence[Any]] = []
    for query in _prepare(type(reader.backend), selection.shape):
        rows += reader.fetch(query, {**values, "rows": limit + 1 - len(rows)})
    traces = [_describe(row) for row in rows[:limit]]
    following = Cursor(rows[limit - 1][1], rows[limit - 1][2]) if len(rows) > limit else None
    return TracePage(traces, following)


@lru_cache(MAX_QUERIES)
def _prepare(backend: type[Backend], shape: TraceShape) -> list[Query]:
    parts = [_select_starting(shape), _select_started(shape)] if shape.has_start else []
    pages = parts or [_select_starting(shape)]
    return [Query(_add_details(page, shape.bound), backend.dialect) for page in pages]


def _select_starting(shape: TraceShape) -> Select[Any]:
    """Select the first events of the traces that start in the window."""
    first = alias_events("first_event")
    in_window = (
        in_project(shape.bound, first),
        date_of(first) >= bindparam("start"),
        date_of(first) < bindparam("end"),
    )
    selected = [has_selected_event(first, shape)] if shape.events.filters else []
    is_first = first.c.key == first_key(first, shape.bound)
    return _select_page(first, [*in_window, is_first, *selected], shape)


def _select_started(shape: TraceShape) -> Select[Any]:
    """Select the first events of the traces that started before the window."""
    matching = select(Event.trace_id).where(*build_window_conditions(shape.events)).distinct()
    trace, first = matching.subquery("trace"), alias_events("first_event")
    conditions = (
        in_project(shape.bound, first),
        first.c.trace_id == trace.c.trace_id,
        first.c.key == first_key(first, shape.bound),
        date_of(first) < bindparam("start"),
    )
    return _select_page(first, [*conditions], shape).select_from(trace)


def _select_page(first: FromClause, conditions: Conditions, shape: TraceShape) -> Select[Any]:
    date, position = date_of(first), bindparam("date", type_=DateText)
    # Written so that an index serves the first condition.
    is_after = (date <= position, or_(date < position, first.c.key < bindparam("key")))
    page = select(first.c.trace_id, first.c.project_id, first.c.key, date.label("first"))
    page = page.where(*conditions, *is_after, *build_trace_conditions(first, shape))
    return page.order_by(date.desc(), first.c.key.desc()).limit(bindparam("rows"))


def _add_details(page: Select[Any], bound: Bound) -> Select[Any]:
    trace = page.subquery("page")
    events = alias_events("event_of_trace")
    in_this = in_trace(events, trace, bound)
    last_date = select(func.max(date_of(events))).where(in_this).scalar_subquery()
    count = select(func.count()).select_from(events).where(in_this).scalar_subquery()
    last = type_coerce(last_date, DateText)
    duration = Milliseconds(trace.c.first, last)
    details = select(
        trace.c.trace_id, trace.c.key, trace.c.first, last, duration, count, _names_of(trace, bound)
    )
    return details.order_by(trace.c.first.desc(), trace.c.key.desc())


def _names_of(trace: FromClause, bound: Bound) -> ScalarSelect[str]:
    events = alias_events("named_event")
    names = select(events.c.name).where(in_trace(events, trace, bound))
    names = names.order_by(date_of(events), events.c.key).limit(NAMES_OF_TRACE).correlate(trace)
    return select(JSONArray(names.subquery("names").c.name)).scalar_subquery()


def _describe(row: Sequence[Any]) -> Trace:
    trace_id, _, first, last, milliseconds, count, names = row
    return {
        "trace_id": trace_id,
        "first": first,
        "last": last,
        "seconds": milliseconds / 1000,
        "count": count,
        "names": json.loads(names),
    }
