"""The formats in which events are sent: a JSON document, JSON lines, and CSV.

The database builds the text of a page, without holding Python's global lock. In JSON, the text of
an event is `{…,"date":"…Z"}{…data…}`, and one replacement joins the halves. `Z"}{` cannot occur
anywhere else, because a quote within a JSON string is escaped. (SQLite's `json()`, which would
parse `data` again, takes half as long again.)
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce

from sqlalchemy import BigInteger, ColumnElement, String, cast, func, literal, or_, type_coerce
from sqlalchemy import case as sql_case

from ..storage.models import FIELDS, Event
from ..storage.sql import Columns, DateAsText, Head, Position, TextOfEvent
from ..storage.types import UTCTimestamp

FORMULA_STARTS = "=+-@\t\r\n＝＋－＠'"  # noqa: RUF001
"""A spreadsheet treats a cell that starts with one of these as a formula, unless an apostrophe
precedes it. A leading apostrophe is doubled, so that an import can remove the added one."""

CELL_ENDS = "\t\r\n"
"""What ends a cell in a spreadsheet that separates cells by `;` or tabs: it takes the quotes of a
cell that follows a comma for text. An apostrophe follows each of these, and each `;` that precedes
the start of a formula or of a quoted cell."""


# The apostrophe comes first: the others add some.
_REPLACEMENTS = {end: f"{end}'" for end in CELL_ENDS} | {
    f";{start}": f";'{start}" for start in ("'", *FORMULA_STARTS, '"')
}


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the text of each event, and the text before, between and after the events."""

    media_type: str
    event: TextOfEvent
    separator: str
    closing: str
    postprocess: Callable[[bytes], bytes]
    beginning: bytes = b""
    between_pages: bytes = b""
    end: bytes = b""

    def write(self, count: int, pages: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the text of a listing of `count` events, whose pages the database built."""
        before = self.beginning.replace(b"%d", b"%d" % count)
        for page in pages:
            yield before + self.postprocess(page)
            before = self.between_pages
        yield self.end if count else before + self.end


def quote_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula."""
    apostrophe = "'" if text[:1] and text[0] in FORMULA_STARTS else ""
    text = text.replace('"', '""')
    for old, new in _REPLACEMENTS.items():
        text = text.replace(old, new)
    return f'"{apostrophe}{text}"'


def _join_halves(page: bytes) -> bytes:
    return page.replace(b'Z"}{', b'Z","data":{')


def _write_halves(event: Columns) -> ColumnElement[str]:
    *head, data = (event[name] for name in FIELDS)
    return Head(*head).concat(data)


def _write_row(event: Columns) -> ColumnElement[str]:
    # Most rows hold nothing that splits a cell: one test is cheaper than the replacements.
    head = type_coerce(event["name"], String) + type_coerce(event["trace_id"], String)
    row = head + type_coerce(event["data"], String)
    may_split = or_(
        Position(row, literal(";")) > 0, *(Position(head, literal(end)) > 0 for end in CELL_ENDS)
    )
    guarded, plain = (_join_cells(event, is_guarded) for is_guarded in (True, False))
    return sql_case((may_split, guarded), else_=plain)


def _join_cells(event: Columns, is_guarded: bool) -> ColumnElement[str]:
    cells = (_write_cell(event, name, is_guarded) for name in FIELDS)
    return reduce(lambda row, cell: row + "," + cell, cells)


def _write_cell(event: Columns, name: str, is_guarded: bool) -> ColumnElement[str]:
    match Event.__table__.c[name].type:
        case BigInteger():
            return cast(event[name], String)
        case UTCTimestamp():
            return DateAsText(event[name])
    return _quote(type_coerce(event[name], String), is_guarded)


def _quote(column: ColumnElement[str], is_guarded: bool) -> ColumnElement[str]:
    is_formula = Position(literal(FORMULA_STARTS), func.substr(column, 1, 1)) > 0
    text: ColumnElement[str] = func.replace(column, '"', '""', type_=String)
    text = _guard_cells(text) if is_guarded else text
    return sql_case((is_formula, "\"'"), else_='"') + text + '"'


def _guard_cells(text: ColumnElement[str]) -> ColumnElement[str]:
    for old, new in _REPLACEMENTS.items():
        text = func.replace(text, old, new, type_=String)
    return text


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
LINES_TYPES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
)
"""The media types of JSON lines, ours first: none of them is registered, so programs differ."""

LINES = Format(
    media_type=LINES_TYPES[0],
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
    beginning=",".join(FIELDS).encode() + b"\r\n",
)
CSV_WITH_MARK = replace(CSV, beginning=BOM_UTF8 + CSV.beginning)
"""CSV as Excel reads it: without the byte order mark it takes UTF-8 for the system's encoding."""

LINES_BY_TYPE = {media_type: replace(LINES, media_type=media_type) for media_type in LINES_TYPES}
"""JSON lines under each of their media types."""

FORMATS = {format_.media_type: format_ for format_ in (JSON, LINES, CSV)}
"""Every format by its media type, the default first."""
