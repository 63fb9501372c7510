"""Paths through the business logic: how often an event follows another within a trace."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from functools import lru_cache
from itertools import chain, pairwise
from operator import add, sub
from typing import Any, TypedDict

from ..storage.backend import Backend
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from .filters import bind_values, build_window_conditions
from .groups import limit_groups
from .medians import double_median, halve
from .selection import Selection
from .trace_conditions import build_whole_traces
from .trace_order import TraceEvents, read_chunks, select_chunks
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


Pauses = dict[tuple[str, str | None], "array[int]"]
"""The milliseconds between events with two names that follow each other.

At the end of a trace nothing follows, and the milliseconds mean nothing.
"""

_END = TraceEvents([""], [""], [0])
"""After the last event: a trace id is not empty."""


def count(reader: Reader, selection: Selection, scope: Scope) -> Paths:
    """Count how often each name follows another in the selected traces or events.

    Keeps an array of pauses for each pair of names: eight bytes of memory for each event. Raises
    StorageError, and TooManyGroups for more than MAX_GROUPS pairs of names.
    """
    query = _query(type(reader.backend), scope, shape_of(selection))
    with closing(read_chunks(reader, query, bind_values(selection))) as chunks:
        pauses = _follow(chunks)
    rows = ((*pair, len(each), double_median(each)) for pair, each in pauses.items())
    return _summarize(sorted(rows, key=_order))


def _follow(chunks: Iterator[TraceEvents]) -> Pauses:
    pauses: Pauses = defaultdict(lambda: array("q"))
    groups, last = 0, TraceEvents([], [], [])
    for chunk in chain(chunks, [_END]):
        traces, names, dates = map(add, last, chunk)
        following = _name_following(traces, names)
        durations = map(sub, dates[1:], dates)
        for name, next_name, pause in zip(names[:-1], following, durations, strict=True):
            pauses[name, next_name].append(pause)
        last = TraceEvents(traces[-1:], names[-1:], dates[-1:])
        if len(pauses) > groups:
            groups = len(limit_groups(pauses))
    return pauses


def _name_following(traces: list[str], names: list[str]) -> Iterator[str | None]:
    """Yield the name of the event after each but the last, or None where a trace ends."""
    following = zip(pairwise(traces), names[1:], strict=True)
    return (name if trace == next_trace else None for (trace, next_trace), name in following)


def _order(row: tuple[str, str | None, int, int]) -> tuple[int, str, str]:
    name, following, number, _ = row
    return -number, name, following or ""


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
    conditions = {
        Scope.EVENTS: list(build_window_conditions(shape.events)),
        Scope.TRACES: build_whole_traces(Event.__table__, shape),
    }[scope]
    return Query(select_chunks(conditions), backend.dialect)
