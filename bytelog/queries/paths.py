"""Paths through the business logic: which event follows which within the traces, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

from marshmallow import ValidationError
from sqlalchemy import Engine, Integer, Select, bindparam, func, select, type_coerce

from ..config import MAX_GROUPS
from ..storage.database import fetch
from ..storage.models import Event
from ..storage.sql import Milliseconds
from .filters import bind_values, conditions, date
from .selection import Selection

# `from` is no name in Python.
Transition = TypedDict(
    "Transition", {"from": str, "to": str, "count": int, "median_seconds": float}
)
"""One event following another: how often, and the median time between the two."""


class Step(TypedDict):
    """A name: how many events, and how many traces start and end with it."""

    name: str
    count: int
    starts: int
    ends: int


class Paths(TypedDict):
    """How many events in how many traces, their names, and what follows what; the most first."""

    count: int
    traces: int
    names: list[Step]
    transitions: list[Transition]


def count(engine: Engine, selection: Selection) -> Paths:
    """Count which of the selected events follow each other in their traces; raises StorageError.

    Raises ValidationError when there are more than MAX_GROUPS pairs to tell.
    """
    statement = _statement(tuple(selection.filters), selection.depths)
    rows = fetch(engine, statement, bind_values(selection) | {"rows": MAX_GROUPS + 1})
    if len(rows) > MAX_GROUPS:
        problem = f"Must leave at most {MAX_GROUPS} pairs of names: take a shorter window."
        raise ValidationError(problem, "start")
    return _summarize(rows)


def _summarize(rows: Sequence[Any]) -> Paths:
    events: Counter[str] = Counter()
    followers: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    transitions: list[Transition] = []
    for name, following, number, milliseconds in rows:
        events[name] += number
        if following is None:
            ends[name] = number
            continue
        followers[following] += number
        transitions.append(
            {
                "from": name,
                "to": following,
                "count": number,
                "median_seconds": round(float(milliseconds) / 1000, 3),
            }
        )
    return {
        "count": events.total(),
        "traces": ends.total(),
        "names": [
            # What follows nothing starts a trace.
            {"name": name, "count": it, "starts": it - followers[name], "ends": ends[name]}
            for name, it in events.most_common()
        ],
        "transitions": transitions,
    }


@lru_cache(maxsize=200)
def _statement(filters: tuple[str, ...], depths: tuple[int, ...]) -> Select[Any]:
    steps = _steps(filters, depths).subquery()
    pair = steps.c.name, steps.c.following
    ranked = select(
        *pair,
        steps.c.milliseconds,
        func.row_number().over(partition_by=pair, order_by=steps.c.milliseconds).label("place"),
        func.count().over(partition_by=pair).label("number"),
    ).subquery()
    pair, number = (ranked.c.name, ranked.c.following), type_coerce(ranked.c.number, Integer)
    # The one in the middle, or the two.
    is_middle = ranked.c.place.in_([(number + 1) // 2, (number + 2) // 2])
    counted = select(*pair, func.max(number).label("number"), func.avg(ranked.c.milliseconds))
    counted = counted.where(is_middle).group_by(*pair)
    return counted.order_by(func.max(number).desc(), *pair).limit(bindparam("rows"))


def _steps(filters: tuple[str, ...], depths: tuple[int, ...]) -> Select[Any]:
    following, next_date = (
        func.lead(column).over(partition_by=Event.trace_id, order_by=(date, Event.key))
        for column in (Event.name, date)
    )
    return select(
        Event.name,
        following.label("following"),
        Milliseconds(date, next_date).label("milliseconds"),
    ).where(
        Event.project_id == bindparam("project_id"),
        date >= bindparam("start"),
        date < bindparam("end"),
        *conditions(filters, depths),
    )
