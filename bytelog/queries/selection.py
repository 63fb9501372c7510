"""Selections: which events to read, in which order, and after which cursor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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

    The date is empty in order of arrival.
    """

    key: int
    date: str = ""
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of a project at or after `start` and before `end` that match all filters.

    `data` maps the path of a member, its names joined by dots, to the text of its value. `wait` is
    in seconds.
    """

    project_id: int
    start: datetime | None = None
    end: datetime | None = None
    id: int | None = None
    name: str | None = None
    trace_id: str | None = None
    data: dict[str, str] = field(default_factory=dict)
    order: Order = Order.DATE
    limit: int | None = None
    cursor: Cursor | None = None
    wait: int = 0

    @property
    def is_indexed(self) -> bool:
        """Return whether an index finds the events, so that no others are examined."""
        has_filter = self.data or self.id is not None or self.name is not None
        return not has_filter and (self.trace_id is not None or self.order is not Order.ARRIVAL)

    @property
    def filters(self) -> dict[str, object]:
        """Return the required value of each filtered field."""
        filters = {"id": self.id, "name": self.name, "trace_id": self.trace_id}
        return {name: value for name, value in filters.items() if value is not None}

    @property
    def depths(self) -> tuple[int, ...]:
        """Return the depth in `data` of each filtered member."""
        return tuple(path.count(".") + 1 for path in self.data)

    @property
    def bounds(self) -> dict[str, str]:
        """Return the bounds of the window as text."""
        return {
            "start": timestamps.format_utc(self.start) if self.start else BEGINNING,
            "end": timestamps.format_utc(self.end) if self.end else END,
        }
