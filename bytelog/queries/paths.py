"""Paths through the business logic: how often an event follows another within a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypedDict

from sqlalchemy import Select, func, select

from ..storage.backend import Backend
from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import Milliseconds
from .filters import build_window_conditions
from .groups import fetch_groups
from .medians import count_with_medians, halve
from .selection import Selection
from .trace_conditions import build_whole_traces
from .trace_selection import TraceShape, shape_of

# `from` is a keyword in Python.
Transition = TypedDict(
    "Transition", {"from": str, "to": str, "count": int, "median_seconds": float}
)
"""One name followed by another: how often, and the median time between the two."""


class Step(TypedDict):
    """A name, the number of its events, and the numbers of traces that start or end with it."""

    name: str
    count: int
    starts: int
    ends: int


class Paths(TypedDict):
    """The number of events and traces, the names, and the transitions, most frequent first."""

    count: int
    traces: int
    names: list[Step]
    transitions: list[Transition]


class Scope(StrEnum):
    """What filters select: whole traces that have a matching event, or the events alone."""

    TRACES = "traces"
    EVENTS = "events"


def count(reader: Reader, selection: Selection, scope: Scope) -> Paths:
    """Count how often each name follows another in the selected traces or events.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS pairs of names.
    """
    query = _query(type(reader.backend), scope, shape_of(selection))
    return _summarize(fetch_groups(reader, query, selection))


def _summarize(rows: Sequence[Any]) -> Paths:
    events: Counter[str] = Counter()
    predecessors: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    transitions: list[Transition] = []
    for name, following, number, two_medians in rows:
        events[name] += number
        if following is None:
            ends[name] = number
            continue
        predecessors[following] += number
        seconds = halve(two_medians)
        transitions.append(
            {"from": name, "to": following, "count": number, "median_seconds": seconds}
        )
    # An event without a predecessor starts its trace.
    names: list[Step] = [
        {"name": name, "count": number, "starts": number - predecessors[name], "ends": ends[name]}
        for name, number in events.most_common()
    ]
    return {
        "count": events.total(),
        "traces": ends.total(),
        "names": names,
        "transitions": transitions,
    }


@lru_cache(MAX_QUERIES)
def _query(backend: type[Backend], scope: Scope, shape: TraceShape) -> Query:
    steps = _select_steps(scope, shape).subquery()
    return Query(count_with_medians(steps, ("name", "following")), backend.dialect)


def _select_steps(scope: Scope, shape: TraceShape) -> Select[Any]:
    following, next_date = (
        func.lead(column).over(partition_by=Event.trace_id, order_by=(date, Event.key))
        for column in (Event.name, date)
    )
    is_selected = {
        Scope.EVENTS: build_window_conditions(shape.events),
        Scope.TRACES: build_whole_traces(Event.__table__, shape),
    }[scope]
    return select(
        Event.name,
        following.label("following"),
        Milliseconds(date, next_date).label("milliseconds"),
    ).where(*is_selected)
