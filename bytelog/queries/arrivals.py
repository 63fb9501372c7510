"""Events in the order of arrival, each with the cursor after it: what a stream of events sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, String, cast

from ..config import MAX_ID
from ..storage.keyset import Order
from ..storage.reader import Reader
from ..storage.sql import Columns
from .formats import LINES
from .listing import mark, read_page
from .selection import Cursor, Selection

MAX_EVENTS = 500
"""Events read at once."""

MAX_EXAMINED_KEYS = 50_000
"""Keys examined at once: about 50 milliseconds of work for a filter that nothing matches."""

END = Cursor(MAX_ID)
"""The position after all events."""


def _write_line(event: Columns) -> ColumnElement[str]:
    return cast(event["key"], String).concat(LINES.event(event))


_KEYED_LINES = replace(LINES, event=_write_line)
"""Lines of JSON, each after the key of its event."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The JSON of events, each with the cursor after it; the cursor after all that was examined.

    `is_behind` is whether there may be more events already.
    """

    events: Sequence[tuple[Cursor, bytes]]
    next: Cursor
    is_behind: bool


def read(reader: Reader, selection: Selection) -> Arrivals:
    """Read the first selected events after the cursor, or without a cursor none.

    Raises StorageError, and CursorGone if the event of the cursor was lost.
    """
    after = selection.cursor or END
    last = min(after.key, MAX_ID - MAX_EXAMINED_KEYS) + MAX_EXAMINED_KEYS
    arriving = replace(selection, order=Order.ARRIVAL, cursor=after)
    page = read_page(reader, arriving, _KEYED_LINES, MAX_EVENTS, last)
    # One text is enough: it bounds memory, and the next read continues after it.
    events = _split(reader, next(page.pages, b""))
    if len(events) < page.count:
        return Arrivals(events, events[-1][0], is_behind=True)
    following = page.next or after
    is_behind = page.count == MAX_EVENTS or following.key == last
    return Arrivals(events, following, is_behind)


def _split(reader: Reader, text: bytes) -> list[tuple[Cursor, bytes]]:
    lines = [line.partition(b"{") for line in LINES.postprocess(text).splitlines()]
    cursors = _mark_all(reader, [int(key) for key, _, _ in lines])
    return [(cursor, b"{" + rest) for cursor, (_, _, rest) in zip(cursors, lines, strict=True)]


def _mark_all(reader: Reader, keys: list[int]) -> list[Cursor]:
    """Return the cursors of ascending keys: two in one epoch have only keys of that between."""
    if not keys:
        return []
    first, last = mark(reader, Cursor(keys[0])), mark(reader, Cursor(keys[-1]))
    if first.epoch == last.epoch:
        return [replace(first, key=key) for key in keys]
    return [mark(reader, Cursor(key)) for key in keys]
