"""The forms in which events are sent: a JSON document, JSON lines, and CSV.

The database builds the text of a page outside Python's lock. In JSON that is, for each event,
`{…,"date":"…Z"}{…data…}`, and one replacement joins the halves. JSON has no `Z"}{` anywhere else,
since a quote within a string is escaped. (Parsing `data` again, by SQLite's `json()`, takes half as
long again.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, String, case, cast, func, literal, type_coerce
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ..storage.sql import DateAsText, Head, Position

Columns = ReadOnlyColumnCollection[str, Any]
"""The columns of events, in the table or out of it."""

COLUMNS = ("id", "name", "trace_id", "date", "data")
"""An event's members, in the order in which they are sent."""

FORMULA_STARTS = "=+-@\t\r\n＝＋－＠'"  # noqa: RUF001
"""A spreadsheet takes a cell that starts so for a formula, unless an apostrophe comes first; where
one is there already it gets another, so that it can be taken off again."""


@dataclass(frozen=True, slots=True)
class Format:
    """How events are written: the text of each, and what goes before, between and after them."""

    media_type: str
    event: Callable[[Columns], ColumnElement[str]]
    separator: str
    closing: str
    postprocess: Callable[[bytes], bytes]
    beginning: bytes = b""
    between_pages: bytes = b""
    end: bytes = b""

    def write(self, count: int, pages: Iterator[bytes]) -> Iterator[bytes]:
        """Write a listing of `count` events, made by the database in pages of whole events."""
        before = self.beginning.replace(b"%d", b"%d" % count)
        for page in pages:
            yield before + self.postprocess(page)
            before = self.between_pages
        yield self.end if count else before + self.end


def _join_halves(page: bytes) -> bytes:
    return page.replace(b'Z"}{', b'Z","data":{')


def _quote(column: ColumnElement[str]) -> ColumnElement[str]:
    is_formula = Position(literal(FORMULA_STARTS), func.substr(column, 1, 1)) > 0
    text: ColumnElement[str] = func.replace(column, '"', '""', type_=String)
    return case((is_formula, "\"'"), else_='"') + text + '"'


def _write_halves(event: Columns) -> ColumnElement[str]:
    return Head(event.id, event.name, event.trace_id, event.date).concat(event.data)


def _write_row(event: Columns) -> ColumnElement[str]:
    cells: tuple[ColumnElement[str], ...] = (
        cast(event.id, String),
        _quote(type_coerce(event.name, String)),
        _quote(type_coerce(event.trace_id, String)),
        DateAsText(event.date),
        _quote(type_coerce(event.data, String)),
    )
    return reduce(lambda row, cell: row + "," + cell, cells)


JSON = Format(
    media_type="application/json",
    event=_write_halves,
    separator="},",
    closing="}",
    postprocess=_join_halves,
    beginning=b'{"count":%d,"events":[',
    between_pages=b",",
    end=b"]}",
)
LINES = Format(
    media_type="application/x-ndjson",
    event=_write_halves,
    separator="}\n",
    closing="}\n",
    postprocess=_join_halves,
)
CSV = Format(
    media_type="text/csv",
    event=_write_row,
    separator="\r\n",
    closing="\r\n",
    postprocess=bytes,
    beginning=",".join(COLUMNS).encode() + b"\r\n",
)
FORMATS = {form.media_type: form for form in (JSON, LINES, CSV)}
"""Every form by its media type; who does not ask for another gets the first."""
