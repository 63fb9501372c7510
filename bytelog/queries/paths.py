"""Paths through the business logic: how often an event follows another within a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

from sqlalchemy import BigInteger, Select, bindparam, case, cast, func, select

from ..storage.backend import Backend
from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import Milliseconds
from .filters import build_window_conditions
from .groups import fetch_groups
from .selection import Selection, Shape

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
    query = _query(type(reader.backend), selection.shapes)
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
        seconds = round(float(two_medians) / 2000, 3)
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
def _query(backend: type[Backend], filters: tuple[Shape, ...]) -> Query:
    return Query(_statement(filters), backend.dialect)


def _statement(filters: tuple[Shape, ...]) -> Select[Any]:
    steps = _steps(filters).subquery()
    # Pauses of the same length are counted together, so that few rows are left to sort.
    pause = steps.c.name, steps.c.following, steps.c.milliseconds
    pauses = select(*pause, func.count().label("number")).group_by(*pause).subquery()
    pair, number = (pauses.c.name, pauses.c.following), func.sum(pauses.c.number, type_=BigInteger)
    ranked = select(
        *pauses.c,
        number.over(partition_by=pair, order_by=pauses.c.milliseconds).label("last"),
        # In PostgreSQL the sum is a decimal number.
        cast(number.over(partition_by=pair), BigInteger).label("total"),
    ).subquery()
    pair, total, last = (ranked.c.name, ranked.c.following), ranked.c.total, ranked.c.last
    # The middle values, or twice the middle value. Half of the sum is the median.
    lower, upper = (
        case(((last - ranked.c.number < rank) & (rank <= last), ranked.c.milliseconds), else_=0)
        for rank in ((total + 1) // 2, (total + 2) // 2)
    )
    middle = func.sum(lower + upper, type_=BigInteger)
    counted = select(*pair, func.max(total).label("number"), middle).group_by(*pair)
    return counted.order_by(func.max(total).desc(), *pair).limit(bindparam("rows"))


def _steps(filters: tuple[Shape, ...]) -> Select[Any]:
    following, next_date = (
        func.lead(column).over(partition_by=Event.trace_id, order_by=(date, Event.key))
        for column in (Event.name, date)
    )
    return select(
        Event.name,
        following.label("following"),
        Milliseconds(date, next_date).label("milliseconds"),
    ).where(*build_window_conditions(filters))
