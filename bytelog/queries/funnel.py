"""Funnels: how many traces reach each of some steps, and how long they take."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from ..storage.backend import Backend
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import Milliseconds
from .filters import bind_values
from .medians import count_with_medians, halve
from .selection import Selection
from .trace_conditions import (
    alias_events,
    build_whole_traces,
    date_of,
    has_name,
    is_in_time,
    next_step,
)
from .trace_selection import Funnel, TraceShape, bind_funnel, shape_of


class StepCount(TypedDict):
    """How many traces reach a step, and the median time since the step before, in seconds."""

    name: str
    count: int
    median_seconds: float | None


class FunnelCounts(NamedTuple):
    """The number of selected traces, and how many of them reach each step."""

    traces: int
    steps: list[StepCount]


def count(reader: Reader, selection: Selection, funnel: Funnel) -> FunnelCounts:
    """Count how many of the selected traces reach each step; raises StorageError.

    Each event of the first step is followed by the next event of the next step, and so on. The one
    that reaches the most steps counts, of several the first.
    """
    shape = shape_of(selection)._replace(
        steps=len(funnel.steps), is_timed=funnel.within is not None
    )
    total, steps = _prepare(type(reader.backend), shape)
    values = bind_values(selection) | bind_funnel(funnel) | {"rows": len(funnel.steps)}
    ((traces,),) = reader.fetch(total, values)
    counts = {step: (number, medians) for step, number, medians in reader.fetch(steps, values)}
    return FunnelCounts(
        traces, [_describe(i, name, *counts.get(i, (0, 0))) for i, name in enumerate(funnel.steps)]
    )


def _describe(position: int, name: str, count: int, two_medians: float) -> StepCount:
    median = halve(two_medians) if position and count else None
    return {"name": name, "count": count, "median_seconds": median}


@lru_cache(MAX_QUERIES)
def _prepare(backend: type[Backend], shape: TraceShape) -> tuple[Query, Query]:
    events: Any = Event.__table__
    total = select(func.count(events.c.trace_id.distinct())).where(
        *build_whole_traces(events, shape)
    )
    steps = count_with_medians(_select_steps(shape).subquery(), ("step",))
    return Query(total, backend.dialect), Query(steps, backend.dialect)


def _select_steps(shape: TraceShape) -> Select[Any]:
    """Select a row for each step that a trace reaches, with the time since the step before."""
    best = _select_best_chains(shape).cte("best").prefix_with("MATERIALIZED")
    rows = [
        select(
            literal(number).label("step"), best.c[f"milliseconds{number}"].label("milliseconds")
        ).where(best.c.depth > number, best.c.rank == 1)
        for number in range(shape.steps)
    ]
    steps = union_all(*rows).subquery()
    return select(steps.c.step, steps.c.milliseconds)


def _select_best_chains(shape: TraceShape) -> Select[Any]:
    chains = _select_chains(shape).subquery()
    order = chains.c.depth.desc(), chains.c.first_date, chains.c.first_key
    rank = func.row_number().over(partition_by=chains.c.trace_id, order_by=order)
    return select(*chains.c, rank.label("rank"))


def _select_chains(shape: TraceShape) -> Select[Any]:
    """Select the events of the first step, each with the events that follow it in time."""
    first = previous = alias_events("step0_event")
    chain: FromClause = first
    durations: list[ColumnElement[Any]] = [null()]
    depth: ColumnElement[int] = literal(1)
    for number in range(1, shape.steps):
        step, is_next = next_step(previous, f"step{number}", shape.bound)
        if shape.is_timed:
            is_next &= is_in_time(first, step)
        chain = chain.outerjoin(step, is_next)
        durations.append(Milliseconds(date_of(previous), date_of(step)))
        depth += case((step.c.key.is_not(None), 1), else_=0)
        previous = step
    columns = [cast(each, BigInteger).label(f"milliseconds{i}") for i, each in enumerate(durations)]
    return (
        select(
            first.c.trace_id,
            date_of(first).label("first_date"),
            first.c.key.label("first_key"),
            depth.label("depth"),
            *columns,
        )
        .select_from(chain)
        .where(*build_whole_traces(first, shape), has_name(first, "step0"))
    )
