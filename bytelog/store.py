"""Recording and reading events: the one path to the table of events.

A listing is sent in pages, each read in a transaction of its own, so that a slow reader neither
holds a lock nor keeps the write-ahead log from being emptied. It covers the events up to the
highest key at its start: events are only ever appended, so that is a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Executable,
    LargeBinary,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.exc import DataError, DBAPIError

from . import timestamps
from .config import PAGE_EVENTS
from .db import StorageError, UTCTimestamp, db, translated
from .models import Event
from .schemas import EventFields
from .writer import current_writer

_Conditions = tuple[ColumnElement[bool], ...]

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

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

# Where the next page begins, in two parts, because SQLite's indexes serve no `(date, key) > (…)`.
_SAME_DATE = (
    Event.date == bindparam("date", type_=UTCTimestamp),
    Event.key > bindparam("key", type_=Event.key.type),
)
_LATER = (Event.date > bindparam("date", type_=UTCTimestamp),)


@dataclass(frozen=True, slots=True)
class Listing:
    """Events in the order of their dates, equal dates in the order of arrival.

    `count` of them, as the text of a JSON array's members, in chunks of whole events.
    """

    count: int
    pages: Iterator[bytes]


def record(project_id: int, event: EventFields) -> None:
    """Store an event; returns when it is on the disk, raises StorageError when it is not."""
    date = timestamps.format_utc(event["date"])
    current_writer().append(
        (project_id, event["id"], event["name"], event["trace_id"], date, event["data"])
    )


def window(project_id: int, start: datetime | None, end: datetime | None) -> Listing:
    """List the events of a project from `start` until before `end`; raises StorageError."""
    scope: _Conditions = (Event.project_id == project_id,)
    return _listing((*scope, Event.date < end) if end else scope, start or _BEGINNING)


def trace(project_id: int, trace_id: str) -> Listing:
    """List the events of a project that carry a trace id; raises StorageError."""
    return _listing((Event.project_id == project_id, Event.trace_id == trace_id), _BEGINNING)


def ping() -> None:
    """Ask the database for an event; raises StorageError when it does not answer."""
    _fetch(db.engine, select(func.max(Event.key)), {})


def _listing(scope: _Conditions, start: datetime) -> Listing:
    engine = db.engine
    covered = select(func.count(), func.max(Event.key)).where(*scope, Event.date >= start)
    ((count, last),) = _fetch(engine, covered, {})
    # Not `start`: SQLite would seek to it, and not to where the page begins, in every page.
    scope = (*scope, Event.key <= (last or 0))
    pages = _pages(engine, scope, start, count)
    return Listing(count, (page.replace(_SEAM, _JOINED) for page in pages))


def _pages(engine: Engine, scope: _Conditions, start: datetime, count: int) -> Iterator[bytes]:
    same_date, later = _Part(scope, _SAME_DATE), _Part(scope, _LATER)
    part, position, rows = same_date, {"date": start, "key": 0}, PAGE_EVENTS
    while count:
        try:
            ((found, text),) = _fetch(engine, part.page, {**position, "rows": rows})
        except _TooLong:
            rows //= 2
            continue
        if found:
            yield text
        count -= found
        if found == rows and count:
            [last, *following] = _fetch(engine, part.edge, {**position, "skipped": rows - 1})
            position = {"date": last.date, "key": last.key}
            part = same_date if [row for row in following if row.date == last.date] else later
        elif part is same_date:
            part = later
        elif count:
            raise StorageError(f"{count} events went away while they were listed")
        rows = min(2 * rows, PAGE_EVENTS)


class _Part:
    """Statements for one part of what follows a position: a page, and the events at its edge."""

    def __init__(self, scope: _Conditions, part: _Conditions) -> None:
        ordered = select(Event).where(*scope, *part).order_by(Event.date, Event.key)
        # SQLite keeps the order of a subquery for an aggregate around it (flattening rule 16).
        events = ordered.with_only_columns(_text).limit(bindparam("rows")).subquery()
        text = func.group_concat(events.c.text, "},").concat("}")
        self.page = select(func.count(), cast(text, LargeBinary))
        edge = ordered.with_only_columns(Event.date, Event.key)
        self.edge = edge.limit(2).offset(bindparam("skipped"))


class _TooLong(Exception):
    """The text of a page exceeds PAGE_BYTES."""


def _fetch(engine: Engine, statement: Executable, parameters: dict[str, Any]) -> Sequence[Any]:
    try:
        with engine.connect() as connection:
            return connection.execute(statement, parameters).all()
    except DataError as error:
        raise _TooLong from error
    except DBAPIError as error:
        raise translated(error) from error
