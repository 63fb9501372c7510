"""Selections of traces: by their events, and by what follows what within them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from .. import timestamps
from .filters import bind_values
from .selection import BEGINNING, END, Selection, Shape, Shapes


class State(StrEnum):
    """What became of the events that another event must follow within a time."""

    OVERDUE = "overdue"
    LATE = "late"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Expectation:
    """That each event named `origin` is followed by one named `target` within some seconds.

    A trace is overdue if an event has waited longer, and late if none has, but one was followed
    later. It is done if all were followed in time. A trace in which one is still waiting, and that
    is neither overdue nor late, is in no state.
    """

    origin: str
    target: str
    within: int
    state: State


@dataclass(frozen=True, slots=True)
class Funnel:
    """Names of events in the order in which a trace should have them, all within some seconds."""

    steps: tuple[str, ...]
    within: int | None = None


@dataclass(frozen=True, slots=True)
class FunnelTraces:
    """Traces that reach a step of a funnel, counted from 1, or with `is_end` stop there."""

    funnel: Funnel
    step: int
    is_end: bool


class TraceShape(NamedTuple):
    """What the SQL of a selection of traces depends on: all but its values."""

    events: Shapes
    is_unbounded: bool
    has_start: bool
    having: int = 0
    lacking: int = 0
    state: State | None = None
    steps: int = 0
    is_timed: bool = False
    reached: int = 0
    is_end: bool = False
    sequence: int = 0
    has_ending: bool = False

    @property
    def bound(self) -> tuple[Shape, ...]:
        """Return what the SQL of the bound depends on."""
        return self.events.bound


@dataclass(frozen=True, slots=True)
class TraceSelection:
    """The traces that have an event that `events` selects.

    A trace must have an event of each name in `having`, and none of a name in `lacking`; the names
    in `sequence` must follow one another directly, and its last event must be named `ending`.
    """

    events: Selection
    having: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    expectation: Expectation | None = None
    funnel_traces: FunnelTraces | None = None
    sequence: tuple[str, ...] = ()
    ending: str | None = None

    @property
    def shape(self) -> TraceShape:
        """Return what the SQL depends on."""
        shape = shape_of(self.events)._replace(
            having=len(self.having),
            lacking=len(self.lacking),
            sequence=len(self.sequence),
            has_ending=self.ending is not None,
        )
        if self.expectation:
            shape = shape._replace(state=self.expectation.state)
        if (wanted := self.funnel_traces) is None:
            return shape
        number = len(wanted.funnel.steps)
        return shape._replace(
            steps=number,
            is_timed=wanted.funnel.within is not None,
            reached=wanted.step,
            is_end=wanted.is_end and wanted.step < number,
        )


def shape_of(events: Selection) -> TraceShape:
    """Return what the SQL for the traces of events depends on."""
    bounds = events.bounds
    is_unbounded = not events.filters and (bounds["start"], bounds["end"]) == (BEGINNING, END)
    return TraceShape(events.shapes, is_unbounded, events.start is not None)


def bind_traces(selection: TraceSelection) -> dict[str, Any]:
    """Return the values for the conditions of a selection of traces."""
    values = bind_values(selection.events) | {"ending": selection.ending}
    for kind in ("having", "lacking", "sequence"):
        names = getattr(selection, kind)
        values |= {f"{kind}{number}": name for number, name in enumerate(names)}
    if expected := selection.expectation:
        values |= {
            "origin": expected.origin,
            "target": expected.target,
            "within": 1000 * expected.within,
            "now": timestamps.format_utc(timestamps.now()),
        }
    if selection.funnel_traces:
        values |= bind_funnel(selection.funnel_traces.funnel)
    return values


def bind_funnel(funnel: Funnel) -> dict[str, Any]:
    """Return the values for the steps of a funnel."""
    names = {f"step{number}": name for number, name in enumerate(funnel.steps)}
    return names if funnel.within is None else names | {"within": 1000 * funnel.within}
