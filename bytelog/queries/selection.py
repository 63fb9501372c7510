"""Selections: which events to read, in which order, and after which cursor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from .. import timestamps
from ..storage.keyset import Order

# Before and after every valid date, as text, because SQLite compares dates as text.
BEGINNING, END = "0001-01-01T00:00:00.000Z", "9999-12-31T24:00:00.000Z"


class CursorGone(LookupError):
    """The event of a cursor was lost when a backup was restored."""


class Bucket(StrEnum):
    """A unit of time by which events are counted. A week starts on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of an event: its key, its date as text, and the name of its epoch.

    The date is empty in order of arrival. `token` is the number that a client sent for the key.
    """

    key: int
    date: str = ""
    epoch: str = ""
    token: int | None = None


class Operator(StrEnum):
    """What a filter requires of a field. Several values mean one of them, or none with NOT."""

    EQUAL = ""
    NOT = "not"
    PREFIX = "prefix"
    GREATER = "gt"
    AT_LEAST = "gte"
    LESS = "lt"
    AT_MOST = "lte"
    EXISTS = "exists"
    MISSING = "missing"
    CONTAINS = "contains"


class Shape(NamedTuple):
    """What the SQL of a filter depends on: all but its values.

    `depth` is the number of names that lead to a member of `data`, 0 for the other fields.
    """

    field: str
    operator: Operator
    depth: int
    values: int


class Shapes(NamedTuple):
    """What the SQL of a selection depends on: the filters, and the bound of a key."""

    filters: tuple[Shape, ...]
    bound: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a field of events, on a member of `data`, or on all text.

    `path` starts with the name of the field; the names of a member follow `data`. To search all
    text, it is `("*",)`.
    """

    path: tuple[str, ...]
    operator: Operator
    values: tuple[str | int, ...] = ()

    @property
    def shape(self) -> Shape:
        """Return what the SQL depends on."""
        return Shape(self.path[0], self.operator, len(self.path) - 1, len(self.values))


def equal(field: str, value: str | int) -> Filter:
    """Return a filter by the exact value of a field."""
    return Filter((field,), Operator.EQUAL, (value,))


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of a project at or after `start` and before `end` that match all filters.

    For whole traces too, the project has only the events that match `bound`, which limits a key:
    the others are invisible. `wait` is in seconds.
    """

    project_id: int
    start: datetime | None = None
    end: datetime | None = None
    filters: tuple[Filter, ...] = ()
    order: Order = Order.DATE
    limit: int | None = None
    cursor: Cursor | None = None
    wait: int = 0
    bound: tuple[Filter, ...] = ()

    @property
    def is_indexed(self) -> bool:
        """Return whether an index finds the events, so that no others are examined."""
        if self.is_of_traces:
            return True
        return not (self.filters or self.bound) and self.order is not Order.ARRIVAL

    @property
    def is_of_traces(self) -> bool:
        """Return whether the only filters name traces."""
        return bool(self.filters) and all(is_of_traces(each.shape) for each in self.filters)

    @property
    def shapes(self) -> Shapes:
        """Return what the SQL depends on."""
        filters, bound = (
            tuple(each.shape for each in filters) for filters in (self.filters, self.bound)
        )
        return Shapes(filters, bound)

    @property
    def bounds(self) -> dict[str, str]:
        """Return the bounds of the window as text."""
        return {
            "start": timestamps.format_utc(self.start) if self.start else BEGINNING,
            "end": timestamps.format_utc(self.end) if self.end else END,
        }


def is_of_traces(shape: Shape) -> bool:
    """Return whether a filter names traces."""
    return shape.field == "trace_id" and shape.operator is Operator.EQUAL
