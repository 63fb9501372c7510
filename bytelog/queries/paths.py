"""Paths through the business logic: how often an event follows another within a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

from sqlalchemy import Integer, Select, bindparam, func, select, type_coerce

from ..storage.backend import Backend
from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import Milliseconds
from .filters import build_window_conditions
from .groups import fetch_groups
from .selection import Selection

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


def count(reader: Reader, selection: Selection) -> Paths:
    """Count how often each name follows another in the traces of the selected events.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS pairs of names.
    """
    query = _query(type(reader.backend), tuple(selection.filters), selection.depths)
    return _summarize(fetch_groups(reader, query, selection))


def _summarize(rows: Sequence[Any]) -> Paths:
    events: Counter[str] = Counter()
    predecessors: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    transitions: list[Transition] = []
    for name, following, number, milliseconds in rows:
        events[name] += number
        if following is None:
            ends[name] = number
            continue
        predecessors[following] += number
        seconds = round(float(milliseconds) / 1000, 3)
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
def _query(backend: type[Backend], filters: tuple[str, ...], depths: tuple[int, ...]) -> Query:
    return Query(_statement(filters, depths), backend.dialect)


def _statement(filters: tuple[str, ...], depths: tuple[int, ...]) -> Select[Any]:
    steps = _steps(filters, depths).subquery()
    pair = steps.c.name, steps.c.following
    ranked = select(
        *pair,
        steps.c.milliseconds,
        func.row_number().over(partition_by=pair, order_by=steps.c.milliseconds).label("rank"),
        func.count().over(partition_by=pair).label("number"),
    ).subquery()
    pair, number = (ranked.c.name, ranked.c.following), type_coerce(ranked.c.number, Integer)
    # The median is the middle value, or the average of the two middle values.
    is_middle = ranked.c.rank.in_([(number + 1) // 2, (number + 2) // 2])
    medians = select(*pair, func.max(number).label("number"), func.avg(ranked.c.milliseconds))
    medians = medians.where(is_middle).group_by(*pair)
    return medians.order_by(func.max(number).desc(), *pair).limit(bindparam("rows"))


def _steps(filters: tuple[str, ...], depths: tuple[int, ...]) -> Select[Any]:
    following, next_date = (
        func.lead(column).over(partition_by=Event.trace_id, order_by=(date, Event.key))
        for column in (Event.name, date)
    )
    return select(
        Event.name,
        following.label("following"),
        Milliseconds(date, next_date).label("milliseconds"),
    ).where(*build_window_conditions(filters, depths))
