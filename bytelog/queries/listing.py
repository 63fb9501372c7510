"""Reading events in pages.

Each page of a listing is read in a transaction of its own, so a slow reader neither holds a lock
nor prevents checkpoints of the write-ahead log. The listing contains the events that were visible
at its start: those up to the highest key, without what commits later (see `end.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from ..config import MAX_ID
from ..storage.errors import TextTooLong
from ..storage.keyset import Order
from ..storage.reader import Reader
from . import end
from .filters import bind_values
from .formats import Format
from .pages import PAGE_EVENTS, Page, Pages, Values
from .selection import Cursor, CursorGone, Selection
from .statements import Kind, ListingQueries, Part, prepare, prepare_keys

SHORT_EVENTS = 500
"""Events below which a listing is read at once, without counting them first."""


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
    queries, values = _prepare(reader, selection, format_)
    beyond = {**values, "last": MAX_ID, "rows": 1, "skipped": PAGE_EVENTS}
    return any(reader.fetch(part.positions, beyond) for part in _parts(queries, selection))


def read(reader: Reader, selection: Selection, format_: Format) -> Listing:
    """List the selected events, all of them if there is no limit.

    Raises StorageError, and CursorGone if the event of the cursor was lost.
    """
    if selection.limit is not None:
        return read_page(reader, selection, format_, selection.limit)
    queries, values = _prepare(reader, selection, format_)
    short = _list_short(reader, queries, values, selection)
    return short or _list_all(reader, selection, format_)


def read_page(
    reader: Reader, selection: Selection, format_: Format, limit: int, up_to: int = MAX_ID
) -> Listing:
    """List a page of the selected events, up to a key; raises as `read` does."""
    queries, values, newest = _prepare_to_end(reader, selection, format_, up_to)
    is_arrival = selection.order is Order.ARRIVAL
    positions: list[Any] = []
    pages: list[Page] = []
    for part in _parts(queries, selection):
        if len(positions) > limit:
            break
        rows = {"rows": limit + 1 - len(positions), "skipped": 0}
        found = reader.fetch(part.positions, values | rows)
        pages.append(Page(part, values, min(len(found), limit - len(positions))))
        positions += found
    count = min(len(positions), limit)
    following = None
    # In order of arrival, a full page ends with its last event, whether or not others follow it.
    if len(positions) > limit or (is_arrival and len(positions) == limit):
        date, key = positions[limit - 1]
        following = Cursor(key, "" if is_arrival else date)
    elif is_arrival:
        following = _after_all(selection.cursor, values)
    following = _mark(reader, following, newest) if following else None
    texts = chain.from_iterable(map(Pages(reader, queries).read, pages))
    return Listing(count, texts, following)


def mark(reader: Reader, cursor: Cursor) -> Cursor:
    """Return a cursor with the name of its epoch; raises StorageError."""
    query = prepare_keys(type(reader.backend)).epoch
    ((epoch,),) = reader.fetch(query, {"cursor_key": cursor.key})
    return replace(cursor, epoch=epoch or "")


def last_key(reader: Reader) -> int:
    """Return the key of the last event that arrived, 0 if there is none; raises StorageError."""
    ((last,),) = reader.fetch(prepare_keys(type(reader.backend)).highest)
    return int(last)


def _prepare(
    reader: Reader, selection: Selection, format_: Format
) -> tuple[ListingQueries, Values]:
    kind = Kind(type(reader.backend), format_, selection.order, selection.shapes)
    cursor = {"cursor_key": selection.cursor.key if selection.cursor else 0}
    return prepare(kind), bind_values(selection) | _first_position(selection) | cursor


def _prepare_to_end(
    reader: Reader, selection: Selection, format_: Format, up_to: int = MAX_ID
) -> tuple[ListingQueries, Values, Cursor]:
    """Return the queries, their values with the end, and the beginning of the newest epoch.

    Raises CursorGone.
    """
    queries, values = _prepare(reader, selection, format_)
    found = end.find(reader, values)
    newest = _check_cursor(selection.cursor, *found.epochs)
    values |= found.bind(selection.order, up_to)
    if values["last"] > found.decided:
        queries = queries.leave_out_running()
    return queries, values, newest


def _after_all(cursor: Cursor | None, values: Values) -> Cursor:
    """Return the position after all that has arrived, which is not before the cursor.

    The same events need not be examined again, whether or not they are selected.
    """
    last: int = values["last"]
    is_later = cursor and last < cursor.key < MAX_ID
    return Cursor(cursor.key) if cursor and is_later else Cursor(last)


def _parts(queries: ListingQueries, selection: Selection) -> list[Part]:
    return queries.after_position if selection.cursor else [queries.beginning]


def _list_short(
    reader: Reader, queries: ListingQueries, values: Values, selection: Selection
) -> Listing | None:
    """Return a listing that fits into one query, None if it is longer.

    A query sees one snapshot. A listing with a cursor needs other queries too, for the epochs.
    """
    if selection.cursor or selection.order is Order.ARRIVAL:
        return None
    try:
        first = {**values, "last": MAX_ID, "rows": SHORT_EVENTS}
        ((count, text),) = reader.fetch(queries.beginning.page, first)
    except TextTooLong:
        return None
    if count == SHORT_EVENTS or (count and text is None):
        return None
    return Listing(count, iter([text] if count else []), None)


def _list_all(reader: Reader, selection: Selection, format_: Format) -> Listing:
    queries, values, newest = _prepare_to_end(reader, selection, format_)
    size = queries.size_after_position if selection.cursor else queries.size
    ((total,),) = reader.fetch(size, values)
    count = int(total)  # In PostgreSQL a sum is a Decimal.
    page = Page(_parts(queries, selection)[0], values, count)
    pages = Pages(reader, queries).read(page)
    if selection.order is not Order.ARRIVAL:
        return Listing(count, pages, None)
    return Listing(count, pages, _mark(reader, _after_all(selection.cursor, values), newest))


def _check_cursor(
    cursor: Cursor | None, first_key: int | None, newest: str | None, of_cursor: str | None
) -> Cursor:
    """Return the beginning of the newest epoch; raises CursorGone."""
    if cursor and cursor.key != MAX_ID and cursor.epoch != (of_cursor or ""):
        raise CursorGone
    return Cursor(first_key or 0, epoch=newest or "")


def _mark(reader: Reader, cursor: Cursor, newest: Cursor) -> Cursor:
    return mark(reader, cursor) if cursor.key < newest.key else replace(cursor, epoch=newest.epoch)


def _first_position(selection: Selection) -> Values:
    cursor, bounds = selection.cursor, selection.bounds
    if selection.order is Order.ARRIVAL:
        return {"key": cursor.key if cursor else 0}
    if cursor is None:
        return {}
    if selection.order is Order.NEWEST:
        date, key = min((cursor.date, cursor.key), (bounds["end"], 0))
    else:
        date, key = max((cursor.date, cursor.key), (bounds["start"], 0))
    return {"date": date, "key": key}
