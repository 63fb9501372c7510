"""Reading events in pages.

A listing is sent in pages, each read in a transaction of its own, so that a slow reader neither
holds a lock nor keeps the write-ahead log from being emptied. It covers the events up to the
highest key at its start: events are only ever appended, so that is a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from ..config import MAX_ID, PAGE_BYTES, PAGE_EVENTS
from ..storage.backend import StorageError, TextTooLong
from ..storage.database import fetch
from . import filters
from .formats import Format
from .selection import BEGINNING, Cursor, Order, Selection
from .statements import Part, Statements, highest_key, statements


@dataclass(frozen=True, slots=True)
class Listing:
    """Events in order: how many, their text in pages of whole events, and where to go on."""

    count: int
    pages: Iterator[bytes]
    next: Cursor | None


def is_long(engine: Engine, selection: Selection, format_: Format) -> bool:
    """Tell whether a listing has more than a page, without counting it; raises StorageError."""
    if selection.limit and selection.limit <= PAGE_EVENTS:
        return False
    statement, values = _prepare(engine, selection, format_)
    beyond = {**values, "last": MAX_ID, "rows": 1, "skipped": PAGE_EVENTS}
    return any(fetch(engine, part.positions, beyond) for part in statement.parts)


def read(engine: Engine, selection: Selection, format_: Format) -> Listing:
    """List the events that were selected, without `limit` all of them; raises StorageError."""
    statement, values = _prepare(engine, selection, format_)
    if selection.limit is None:
        return _list_all(engine, statement, values, selection.order)
    return _list_page(engine, statement, values, selection.order, selection.limit)


def last_key(engine: Engine) -> int:
    """Return the key of the last event that arrived, 0 if there is none; raises StorageError."""
    ((last,),) = fetch(engine, highest_key)
    return int(last)


def _prepare(
    engine: Engine, selection: Selection, format_: Format
) -> tuple[Statements, dict[str, Any]]:
    kind = format_, selection.order, tuple(selection.filters), selection.depths
    statement = statements(engine.dialect.name, *kind)
    return statement, filters.bind_values(selection) | _first_position(selection)


def _list_all(
    engine: Engine, statement: Statements, values: dict[str, Any], order: Order
) -> Listing:
    ((total, last),) = fetch(engine, statement.snapshot_bounds, values)
    count = int(total)  # In PostgreSQL a sum is a Decimal.
    following = Cursor(last) if order is Order.ARRIVAL else None
    return Listing(
        count, _read_pages(engine, statement, {**values, "last": last}, count), following
    )


def _list_page(
    engine: Engine, statement: Statements, values: dict[str, Any], order: Order, limit: int
) -> Listing:
    last = last_key(engine)
    values = {**values, "last": last}
    positions: list[Any] = []
    for part in statement.parts:
        wanted = {"rows": limit + 1 - len(positions), "skipped": 0}
        positions += fetch(engine, part.positions, values | wanted)
    count = min(len(positions), limit)
    following = None
    if len(positions) > limit:
        place = positions[limit - 1]
        following = Cursor(place.key, place.date)
    elif order is Order.ARRIVAL:
        following = Cursor(last)
    return Listing(count, _read_pages(engine, statement, values, count), following)


def _first_position(selection: Selection) -> dict[str, Any]:
    start, end = selection.bounds["start"], selection.bounds["end"]
    place = selection.cursor
    if selection.order is Order.ARRIVAL:
        return {"date": BEGINNING, "key": place.key if place else 0}
    given = (place.date, place.key) if place and place.date else None
    if selection.order is Order.NEWEST:
        date, key = min(given or (end, 0), (end, 0))
    else:
        date, key = max(given or (start, 0), (start, 0))
    return {"date": date, "key": key}


def _read_pages(
    engine: Engine, statement: Statements, values: dict[str, Any], count: int
) -> Iterator[bytes]:
    part, rows = statement.parts[0], PAGE_EVENTS
    while count:
        rows = min(rows, count)
        try:
            found, text = _read_page(engine, part, {**values, "rows": rows})
        except TextTooLong:
            rows //= 2
            continue
        if found:
            yield text
        count -= found
        if found == rows and count:
            edge = {**values, "rows": 2, "skipped": rows - 1}
            last, *following = fetch(engine, part.positions, edge)
            values = {**values, "date": last.date, "key": last.key}
            is_cut = [row for row in following if row.date == last.date]
            part = statement.parts[0 if is_cut else -1]
        elif part is not statement.parts[-1]:
            part = statement.parts[-1]
        elif count:
            raise StorageError(f"{count} events went away while they were listed")
        rows = min(2 * rows, PAGE_EVENTS)


def _read_page(engine: Engine, part: Part, values: dict[str, Any]) -> tuple[int, bytes]:
    ((found, text),) = fetch(engine, part.page, values)
    if found and text is None:
        raise TextTooLong(f"{found} events have more than {PAGE_BYTES} bytes")
    return found, text
