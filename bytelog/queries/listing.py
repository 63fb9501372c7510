"""Reading events in pages.

Each page of a listing is read in a transaction of its own, so a slow reader neither holds a lock
nor prevents checkpoints of the write-ahead log. The listing contains the events up to the highest
key at its start: events are only ever appended, so that is a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..config import MAX_ID, PAGE_BYTES
from ..storage.backend import StorageError, TextTooLong
from ..storage.keyset import Order
from ..storage.reader import Reader
from .filters import bind_values
from .formats import Format
from .selection import BEGINNING, Cursor, CursorGone, Selection
from .statements import Part, Statements, epoch_of_key, highest_key, prepare, snapshot_end

PAGE_EVENTS = 2000
"""Events read in one transaction while a listing is sent: about two milliseconds of work."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """Events in order: their number, their text in pages of whole events, and the next cursor."""

    count: int
    pages: Iterator[bytes]
    next: Cursor | None


def is_long(reader: Reader, selection: Selection, format_: Format) -> bool:
    """Return whether a listing exceeds a page, without counting it all; raises StorageError."""
    if selection.limit and selection.limit <= PAGE_EVENTS:
        return False
    statements, values = _prepare(reader, selection, format_)
    beyond = {**values, "last": MAX_ID, "rows": 1, "skipped": PAGE_EVENTS}
    return any(reader.fetch(part.positions, beyond) for part in statements.parts)


def read(reader: Reader, selection: Selection, format_: Format) -> Listing:
    """List the selected events, all of them if there is no limit.

    Raises StorageError, and CursorGone if the event of the cursor was lost.
    """
    statements, values = _prepare(reader, selection, format_)
    if selection.limit is None:
        return _list_all(reader, statements, values, selection)
    return _list_page(reader, statements, values, selection, selection.limit)


def last_key(reader: Reader) -> int:
    """Return the key of the last event that arrived, 0 if there is none; raises StorageError."""
    ((last,),) = reader.fetch(highest_key)
    return int(last)


def _prepare(reader: Reader, selection: Selection, format_: Format) -> tuple[Statements, Values]:
    kind = format_, selection.order, tuple(selection.filters), selection.depths
    statements = prepare(type(reader.backend), *kind)
    cursor = {"cursor_key": selection.cursor.key if selection.cursor else 0}
    return statements, bind_values(selection) | _first_position(selection) | cursor


def _list_all(
    reader: Reader, statements: Statements, values: Values, selection: Selection
) -> Listing:
    ((total, last, *epochs),) = reader.fetch(statements.snapshot_bounds, values)
    newest = _check_cursor(selection.cursor, *epochs)
    count = int(total)  # In PostgreSQL a sum is a Decimal.
    pages = _read_pages(reader, statements, {**values, "last": last}, count)
    is_followed = selection.order is Order.ARRIVAL
    return Listing(count, pages, _mark(reader, Cursor(last), newest) if is_followed else None)


def _list_page(
    reader: Reader, statements: Statements, values: Values, selection: Selection, limit: int
) -> Listing:
    ((last, *epochs),) = reader.fetch(snapshot_end, values)
    newest = _check_cursor(selection.cursor, *epochs)
    values = {**values, "last": last}
    positions: list[Any] = []
    for part in statements.parts:
        rows = {"rows": limit + 1 - len(positions), "skipped": 0}
        positions += reader.fetch(part.positions, values | rows)
    count = min(len(positions), limit)
    following = None
    if len(positions) > limit:
        edge = positions[limit - 1]
        following = Cursor(edge.key, edge.date)
    elif selection.order is Order.ARRIVAL:
        following = Cursor(last)
    following = _mark(reader, following, newest) if following else None
    return Listing(count, _read_pages(reader, statements, values, count), following)


def _check_cursor(
    cursor: Cursor | None, first_key: int | None, newest: str | None, of_cursor: str | None
) -> Cursor:
    """Return the beginning of the newest epoch; raises CursorGone."""
    if cursor and cursor.key != MAX_ID and cursor.epoch != (of_cursor or ""):
        raise CursorGone
    return Cursor(first_key or 0, epoch=newest or "")


def _mark(reader: Reader, cursor: Cursor, newest: Cursor) -> Cursor:
    """Return a cursor with the name of its epoch; raises StorageError."""
    epoch: str | None = newest.epoch
    if cursor.key < newest.key:
        ((epoch,),) = reader.fetch(epoch_of_key, {"cursor_key": cursor.key})
    return replace(cursor, epoch=epoch or "")


def _first_position(selection: Selection) -> Values:
    start, end = selection.bounds["start"], selection.bounds["end"]
    cursor = selection.cursor
    if selection.order is Order.ARRIVAL:
        return {"date": BEGINNING, "key": cursor.key if cursor else 0}
    position = (cursor.date, cursor.key) if cursor and cursor.date else None
    if selection.order is Order.NEWEST:
        date, key = min(position or (end, 0), (end, 0))
    else:
        date, key = max(position or (start, 0), (start, 0))
    return {"date": date, "key": key}


def _read_pages(
    reader: Reader, statements: Statements, values: Values, count: int
) -> Iterator[bytes]:
    first, final = statements.parts[0], statements.parts[-1]
    part, limit = first, PAGE_EVENTS
    while count:
        limit, rows, text = _read_page(reader, part, values, min(limit, count))
        if rows:
            yield text
        count -= rows
        if rows == limit and count:
            position, is_date_cut = _find_position(reader, part, values, rows)
            values = {**values, **position}
            part = first if is_date_cut else final
        elif part is not final:
            part = final
        elif count:
            raise StorageError(f"{count} events were deleted while they were listed")
        limit = min(2 * limit, PAGE_EVENTS)


def _read_page(reader: Reader, part: Part, values: Values, limit: int) -> tuple[int, int, bytes]:
    """Read a page of at most `limit` events, or of fewer if their text would be too long.

    Returns the limit that was used, the number of events, and their text.
    """
    while True:
        try:
            ((rows, text),) = reader.fetch(part.page, {**values, "rows": limit})
            if rows and text is None:
                raise TextTooLong(f"{rows} events have more than {PAGE_BYTES} bytes")
            return limit, rows, text
        except TextTooLong:
            if limit == 1:
                raise
            limit //= 2


def _find_position(reader: Reader, part: Part, values: Values, rows: int) -> tuple[Values, bool]:
    """Return the position of the last of some rows, and whether the next event has its date."""
    edge = {**values, "rows": 2, "skipped": rows - 1}
    last, *following = reader.fetch(part.positions, edge)
    is_date_cut = any(row.date == last.date for row in following)
    return {"date": last.date, "key": last.key}, is_date_cut
