"""Which events are asked for, in which order, and from which position on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from .. import timestamps
from ..config import MAX_ID

# Before and after every date that there is, as text, which is how SQLite compares dates.
BEGINNING, END = "0001-01-01T00:00:00.000Z", "9999-12-31T24:00:00.000Z"

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9][0-9]{3}"

CURSOR_PATTERN = f"^([0-9]{{1,18}}(-{_YEAR}{_DAY}T{_TIME})?|end)$"
"""What a cursor looks like; clients take it as it is, or write `end`."""

_CURSOR = re.compile(CURSOR_PATTERN)


class Order(StrEnum):
    """How events are ordered; equal dates by arrival, in which nothing new comes before a place."""

    DATE = "date"
    NEWEST = "newest"
    ARRIVAL = "arrival"


class Bucket(StrEnum):
    """A stretch of time in which events are counted; a week starts on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place beside an event: its key, and its date as text, empty where only arrival counts."""

    key: int
    date: str = ""

    def __str__(self) -> str:
        """Return the text that a client gets and gives back."""
        digits = re.sub(r"[-:.Z]", "", self.date)
        return f"{self.key}-{digits}" if digits else str(self.key)


def parse_cursor(text: str) -> Cursor:
    """Return the place that a text names; raises ValueError for one that bytelog did not make.

    In the order of arrival `end` is the place after all that has arrived.
    """
    if text == "end":
        return Cursor(MAX_ID)
    if not _CURSOR.fullmatch(text):
        raise ValueError("it is not what a `Link` header gave")
    key, _, moment = text.partition("-")
    return Cursor(int(key), _date(moment) if moment else "")


def _date(digits: str) -> str:
    # A client that made its own may have asked for 30 February, and gets what comes after it.
    first = datetime.strptime(f"{digits[:6]}01{digits[8:]}000Z", "%Y%m%dT%H%M%S%f%z")
    return timestamps.format_utc(first + timedelta(days=int(digits[6:8]) - 1))


@dataclass(frozen=True, slots=True)
class Selection:
    """Events of a project: those from `start` until before `end` that have all the values given.

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
    def filters(self) -> dict[str, object]:
        """Return the values that members of an event must have, by the member's name."""
        given = {"id": self.id, "name": self.name, "trace_id": self.trace_id}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def depths(self) -> tuple[int, ...]:
        """Return how deep in `data` each member is that must have a value."""
        return tuple(path.count(".") + 1 for path in self.data)

    @property
    def bounds(self) -> dict[str, str]:
        """Return the dates between which the events are, as text."""
        return {
            "start": timestamps.format_utc(self.start) if self.start else BEGINNING,
            "end": timestamps.format_utc(self.end) if self.end else END,
        }
