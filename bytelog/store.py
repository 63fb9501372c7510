"""Recording and reading events: the one path to the table of events.

A listing is sent in pages, each read in a transaction of its own, so that a slow reader neither
holds a lock nor keeps the write-ahead log from being emptied. It covers the events up to the
highest key at its start: events are only ever appended, so that is a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    LargeBinary,
    String,
    bindparam,
    cast,
    func,
    select,
    type_coerce,
)

from . import timestamps
from .config import PAGE_EVENTS
from .db import StorageError, TextTooLong, db, fetch
from .models import Event
from .schemas import EventFields
from .writer import Once, current_writer

# Before and after every date that there is, as text, which is how SQLite compares dates.
_BEGINNING, _END = "0001-01-01T00:00:00.000Z", "9999-12-31T24"

# SQLite builds the text of a page outside Python's lock, as `{…,"date":"…Z"}{…data…}` for each
# event, and one replacement joins the halves. JSON has no `Z"}{` anywhere else, since a quote
# within a string is escaped. (Parsing `data` again, by `json()`, takes half as long again.)
_SEAM, _JOINED = b'Z"}{', b'Z","data":{'
_text = (
    func.json_object(
        *("id", Event.id, "name", Event.name, "trace_id", Event.trace_id, "date", Event.date),
    )
    .concat(Event.data)
    .label("text")
)

_date = type_coerce(Event.date, String)


class _Part:
    """Statements for one part of what follows a position: a page, and the events at its edge."""

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        ordered = select(Event).where(*conditions).order_by(_date, Event.key)
        # SQLite keeps the order of a subquery for an aggregate around it (flattening rule 16).
        events = ordered.with_only_columns(_text).limit(bindparam("rows")).subquery()
        text = func.group_concat(events.c.text, "},").concat("}")
        self.page = select(func.count(), cast(text, LargeBinary))
        edge = ordered.with_only_columns(_date.label("date"), Event.key)
        self.edge = edge.limit(2).offset(bindparam("skipped"))


class _Scope:
    """Statements for the events that a listing covers, made once and given values each time.

    What follows a position comes in two parts, because SQLite's indexes serve no `(date, key) > …`.
    `start` bounds the first position only: SQLite would seek to it in every page.
    """

    def __init__(self, *conditions: ColumnElement[bool]) -> None:
        mine = (Event.project_id == bindparam("project_id"), *conditions)
        within = (*mine, _date >= bindparam("date"))
        covered = select(func.count(), func.coalesce(func.max(Event.key), 0))
        self.covered = covered.where(*within)
        self.beyond_a_page = select(Event.key).where(*within).limit(1).offset(PAGE_EVENTS)
        seen = (*mine, Event.key <= bindparam("last"))
        self.same_date = _Part(*seen, _date == bindparam("date"), Event.key > bindparam("key"))
        self.later = _Part(*seen, _date > bindparam("date"))


_window = _Scope(_date < bindparam("end"))
_trace = _Scope(Event.trace_id == bindparam("trace_id"))


class Listing:
    """Events in the order of their dates, equal dates in the order of arrival."""

    def __init__(self, scope: _Scope, values: dict[str, Any]) -> None:
        self._scope = scope
        self._values = values

    def is_long(self) -> bool:
        """Tell whether it takes more than a page, without counting; raises StorageError."""
        return bool(fetch(db.engine, self._scope.beyond_a_page, self._values))

    def read(self) -> tuple[int, Iterator[bytes]]:
        """Return the count and the text of a JSON array's members, in chunks of whole events.

        Raises StorageError.
        """
        engine, values = db.engine, self._values
        ((count, last),) = fetch(engine, self._scope.covered, values)
        pages = _pages(engine, self._scope, {**values, "last": last, "key": 0}, count)
        return count, (page.replace(_SEAM, _JOINED) for page in pages)


def record(project_id: int, event: EventFields, once: Once | None = None) -> None:
    """Store an event; returns when it is on the disk, raises StorageError when it is not.

    With `once` a repetition returns without storing; raises UnderWay and KeyReused.
    """
    date = timestamps.format_utc(event["date"])
    row = (project_id, event["id"], event["name"], event["trace_id"], date, event["data"])
    current_writer().append(row, once)


def window(project_id: int, start: datetime | None, end: datetime | None) -> Listing:
    """List the events of a project from `start` until before `end`; raises StorageError."""
    bounds = {
        "date": timestamps.format_utc(start) if start else _BEGINNING,
        "end": timestamps.format_utc(end) if end else _END,
    }
    return Listing(_window, {"project_id": project_id, **bounds})


def trace(project_id: int, trace_id: str) -> Listing:
    """List the events of a project that carry a trace id; raises StorageError."""
    values = {"project_id": project_id, "trace_id": trace_id, "date": _BEGINNING}
    return Listing(_trace, values)


def ping() -> None:
    """Ask the database for an event; raises StorageError when it does not answer."""
    fetch(db.engine, select(func.max(Event.key)))


def _pages(engine: Engine, scope: _Scope, values: dict[str, Any], count: int) -> Iterator[bytes]:
    part, rows = scope.same_date, PAGE_EVENTS
    while count:
        try:
            ((found, text),) = fetch(engine, part.page, {**values, "rows": rows})
        except TextTooLong:
            rows //= 2
            continue
        if found:
            yield text
        count -= found
        if found == rows and count:
            edge, *following = fetch(engine, part.edge, {**values, "skipped": rows - 1})
            values |= {"date": edge.date, "key": edge.key}
            is_cut = [row for row in following if row.date == edge.date]
            part = scope.same_date if is_cut else scope.later
        elif part is scope.same_date:
            part = scope.later
        elif count:
            raise StorageError(f"{count} events went away while they were listed")
        rows = min(2 * rows, PAGE_EVENTS)
