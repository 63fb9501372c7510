"""The conditions of a selection of traces, as SQL expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
    type_coerce,
)

from ..storage.models import Event
from ..storage.sql import ColumnText, Milliseconds
from ..storage.types import DateText
from .filters import build_window_conditions, in_project
from .selection import Shape
from .trace_selection import State, TraceShape

Conditions = list[ColumnElement[bool]]
Bound = Sequence[Shape]

_events: Any = Event.__table__
_within = bindparam("within", type_=BigInteger)
"""In milliseconds."""


def alias_events(name: str) -> Any:
    """Return the table of events under another name."""
    table: Table = _events
    return table.alias(name)


def date_of(events: FromClause) -> ColumnElement[str]:
    """Return the date of an event, which Python sends and receives as text."""
    return type_coerce(events.c.date, DateText)


def in_trace(events: FromClause, trace: FromClause, bound: Bound) -> ColumnElement[bool]:
    """Return the condition that events are in the trace of another event of the project."""
    return in_project(bound, events) & (events.c.trace_id == trace.c.trace_id)


def has_name(events: FromClause, parameter: str) -> ColumnElement[bool]:
    """Return the condition that events have the name in a parameter."""
    return events.c.name == bindparam(parameter, type_=ColumnText)


def is_in_time(first: FromClause, later: FromClause) -> ColumnElement[bool]:
    """Return the condition that the time between two events is within the limit."""
    return Milliseconds(date_of(first), date_of(later)) <= _within


def first_key(trace: FromClause, bound: Bound) -> ScalarSelect[int]:
    """Return the key of the first event of a trace."""
    earliest = alias_events("earliest")
    keys = select(earliest.c.key).where(in_trace(earliest, trace, bound))
    return keys.order_by(*_position(earliest)).limit(1).scalar_subquery()


def has_selected_event(trace: FromClause, shape: TraceShape) -> ColumnElement[bool]:
    """Return the condition that a trace has an event that the filters select, in the window."""
    selected = _events.c.trace_id == trace.c.trace_id, *build_window_conditions(shape.events)
    return select(_events.c.key).where(*selected).exists()


def build_whole_traces(events: FromClause, shape: TraceShape) -> Conditions:
    """Return the conditions on events of the traces that have a selected event."""
    if shape.is_unbounded:
        return [in_project(shape.bound, events)]
    traces = select(_events.c.trace_id).where(*build_window_conditions(shape.events))
    # Without a correlation, because `events` may be the table itself.
    return [in_project(shape.bound, events), events.c.trace_id.in_(traces.correlate(None))]


def build_trace_conditions(trace: FromClause, shape: TraceShape) -> Conditions:
    """Return the conditions on a trace besides its selected event."""
    bound = shape.bound
    conditions = [_has_event(trace, f"having{i}", bound) for i in range(shape.having)]
    conditions += [~_has_event(trace, f"lacking{i}", bound) for i in range(shape.lacking)]
    if shape.sequence:
        conditions.append(_has_sequence(trace, shape.sequence, bound))
    if shape.has_ending:
        conditions.append(_ends_with(trace, "ending", bound))
    if shape.state:
        conditions.append(_is_in_state(trace, shape.state, bound))
    if shape.steps:
        conditions.append(_reaches(trace, shape.reached, shape))
    if shape.is_end:
        conditions.append(~_reaches(trace, shape.reached + 1, shape))
    return conditions


def next_step(
    previous: FromClause, name: str, bound: Bound
) -> tuple[FromClause, ColumnElement[bool]]:
    """Return the next event with a name in the trace of an event, and the condition that it is.

    `name` is that of the parameter, which also names the table.
    """
    step, candidate = alias_events(f"{name}_event"), alias_events(f"{name}_candidate")
    key = _next_key(previous, candidate, bound, has_name(candidate, name))
    # The candidate is in the bound.
    return step, in_trace(step, previous, ()) & (step.c.key == key)


def _next_key(
    previous: FromClause, candidate: FromClause, bound: Bound, *conditions: ColumnElement[bool]
) -> ScalarSelect[int]:
    is_after = in_trace(candidate, previous, bound), _is_after(candidate, previous)
    keys = select(candidate.c.key).where(*is_after, *conditions)
    return keys.order_by(*_position(candidate)).limit(1).scalar_subquery()


def _has_event(trace: FromClause, name: str, bound: Bound) -> ColumnElement[bool]:
    events = alias_events(f"{name}_event")
    is_named = in_trace(events, trace, bound), has_name(events, name)
    return select(events.c.key).where(*is_named).exists()


def _has_sequence(trace: FromClause, length: int, bound: Bound) -> ColumnElement[bool]:
    chain, conditions = _follow(trace, "sequence", length, bound, _next_event)
    return select(chain[0].c.key).select_from(*chain).where(*conditions).exists()


def _next_event(
    previous: FromClause, name: str, bound: Bound
) -> tuple[FromClause, ColumnElement[bool]]:
    """Return the event directly after another, and the condition that it is, and has the name."""
    event, candidate = alias_events(f"{name}_event"), alias_events(f"{name}_candidate")
    is_next = event.c.key == _next_key(previous, candidate, bound)
    # The candidate is in the bound.
    return event, in_trace(event, previous, ()) & is_next & has_name(event, name)


def _follow(
    trace: FromClause,
    prefix: str,
    length: int,
    bound: Bound,
    follow: Callable[[FromClause, str, Bound], tuple[FromClause, ColumnElement[bool]]],
) -> tuple[list[FromClause], Conditions]:
    """Return events of a trace, each of which follows the one before, and their conditions.

    The names of the parameters with the names of the events are a prefix and a number.
    """
    first = alias_events(f"{prefix}0_event")
    chain: list[FromClause] = [first]
    conditions = [in_trace(first, trace, bound), has_name(first, f"{prefix}0")]
    for number in range(1, length):
        event, is_next = follow(chain[-1], f"{prefix}{number}", bound)
        chain.append(event)
        conditions.append(is_next)
    return chain, conditions


def _ends_with(trace: FromClause, parameter: str, bound: Bound) -> ColumnElement[bool]:
    last = alias_events("last_event")
    latest_first = [column.desc() for column in _position(last)]
    names = select(last.c.name).where(in_trace(last, trace, bound))
    names = names.order_by(*latest_first).limit(1)
    return names.scalar_subquery() == bindparam(parameter, type_=ColumnText)


def _is_in_state(trace: FromClause, state: State, bound: Bound) -> ColumnElement[bool]:
    origin = alias_events("origin_event")
    target_date = _next_target_date(origin, bound)
    waiting, duration = target_date.is_(None), Milliseconds(date_of(origin), target_date)
    now = bindparam("now", type_=DateText)
    is_overdue = waiting & (Milliseconds(date_of(origin), now) > _within)

    def any_origin(condition: ColumnElement[bool]) -> ColumnElement[bool]:
        named = in_trace(origin, trace, bound), has_name(origin, "origin")
        return select(origin.c.key).where(*named, condition).exists()

    if state is State.OVERDUE:
        return any_origin(is_overdue)
    if state is State.LATE:
        return any_origin(duration > _within) & ~any_origin(is_overdue)
    return any_origin(true()) & ~any_origin(or_(waiting, duration > _within))


def _next_target_date(origin: FromClause, bound: Bound) -> ColumnElement[Any]:
    target = alias_events("target_event")
    is_after = in_trace(target, origin, bound), _is_after(target, origin)
    dates = select(func.min(date_of(target))).where(*is_after, has_name(target, "target"))
    return type_coerce(dates.scalar_subquery(), DateText)


def _reaches(trace: FromClause, step: int, shape: TraceShape) -> ColumnElement[bool]:
    chain, conditions = _follow(trace, "step", step, shape.bound, next_step)
    if shape.is_timed:
        conditions.append(is_in_time(chain[0], chain[-1]))
    return select(chain[0].c.key).select_from(*chain).where(*conditions).exists()


def _is_after(event: FromClause, other: FromClause) -> ColumnElement[bool]:
    # Written so that an index serves the first condition.
    is_later = or_(date_of(event) > date_of(other), event.c.key > other.c.key)
    return and_(date_of(event) >= date_of(other), is_later)


def _position(events: FromClause) -> Sequence[ColumnElement[Any]]:
    return date_of(events), events.c.key
