"""The lines of an imported file as events: an export of bytelog or of another system."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from marshmallow import ValidationError

from ..config import MAX_BODY_BYTES
from ..events.i_json import compact_object, decode_text
from ..events.keep_rules import OldestDates
from ..events.schemas import INTEGER, EventFields, load_event, load_text
from ..queries.formats import CELL_ENDS, FORMULA_STARTS
from ..sources.mappings import SOURCES
from ..storage.models import FIELDS

MAX_LINE_BYTES = 2 * MAX_BODY_BYTES
"""Bytes of an imported line: CSV doubles the quotes of an event."""

MAX_RECORD_BYTES = 2 * MAX_LINE_BYTES
"""Bytes of all lines of a record: a cell of CSV may contain line ends."""

TRACE_ID_DIGITS = 32
"""Hexadecimal digits of a generated trace id: as many as W3C Trace Context has."""

OWN = "bytelog"
FORMATS = (OWN, *SOURCES)
"""The systems whose exports can be imported; bytelog's own are JSON lines or CSV."""

_HEADER = ",".join(FIELDS).encode()
_STARTS = re.escape(FORMULA_STARTS)
_APOSTROPHE = re.compile(f"^'(?=[{_STARTS}])|(?<=[{CELL_ENDS}])'|(?<=;)'(?=[{_STARTS}\"])")

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

csv.field_size_limit(MAX_LINE_BYTES)


class Lines:
    """An iterator over the lines of a file; it continues after an invalid line.

    `number` is that of the last line, and `bytes` its end in the file. `digest` covers the file up
    to there, and `record` holds the lines since `begin_record`.
    """

    def __init__(self, file: IO[bytes], number: int, position: int, digest: HASH) -> None:
        self.number = number
        self.bytes = position
        self.digest = digest
        self.record = bytearray()
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next line; raises ValidationError."""
        line = self._read_part()
        if not line:
            raise StopIteration
        self.number += 1
        self.record += line
        if len(line) > MAX_LINE_BYTES:
            while not line.endswith(b"\n") and (line := self._read_part()):
                pass
            raise ValidationError(f"Longer than {MAX_LINE_BYTES} bytes.")
        if len(self.record) > MAX_RECORD_BYTES:
            raise ValidationError(
                f"Continues a record of more than {MAX_RECORD_BYTES} bytes. Close its quotes."
            )
        return line.removeprefix(BOM_UTF8) if self.number == 1 else line

    def begin_record(self) -> None:
        """Forget the lines of the record before."""
        self.record.clear()

    def _read_part(self) -> bytes:
        part = self._file.readline(MAX_LINE_BYTES + 1)
        self.digest.update(part)
        self.bytes += len(part)
        return part


def is_csv(file: IO[bytes]) -> bool:
    """Return whether a file starts as an export in CSV does; reads its first bytes."""
    return file.read(len(BOM_UTF8 + _HEADER)).removeprefix(BOM_UTF8).startswith(_HEADER)


def read_csv(lines: Lines, oldest: OldestDates | None = None) -> Iterator[EventFields]:
    """Read the events of an export in CSV.

    Raises InvalidJSON, ValidationError and csv.Error, and continues after each.
    """
    # A generator would end with its first exception; `map` and `filter` do not.
    rows = filter(_is_event, csv.reader(map(decode_text, lines), strict=True))
    return map(partial(load_event, oldest=oldest), map(_parse_cells, rows))


def read_json(
    lines: Lines, source: str, oldest: OldestDates | None = None, time_zone: tzinfo | None = None
) -> Iterator[EventFields]:
    """Read the events of JSON lines.

    Raises InvalidJSON and ValidationError, and continues after each.
    """

    def load(text: bytes) -> EventFields:
        if source == OWN:
            return load_text(text, oldest)
        line, trace_id = decode_text(text), _create_trace_id(lines)
        message = SOURCES[source].parse(line, lines.number, trace_id, time_zone)
        return load_event(message.event, oldest)

    return map(load, filter(None, map(_strip, lines)))


def _strip(line: bytes) -> bytes:
    return line.strip(b" \t\r\n")


def _create_trace_id(lines: Lines) -> str:
    """Return a trace id of the last line alone, which is the same whenever the file is imported."""
    return lines.digest.hexdigest()[:TRACE_ID_DIGITS]


def _is_event(cells: list[str]) -> bool:
    return bool(cells) and cells != list(FIELDS)


def _parse_cells(cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(FIELDS):
        raise ValidationError(f"Must have {len(FIELDS)} cells, not {len(cells)}.")
    id_, name, trace_id, date, data = (_APOSTROPHE.sub("", cell) for cell in cells)
    return {
        "id": int(id_) if INTEGER.fullmatch(id_) else id_,
        "name": name,
        "trace_id": trace_id,
        "date": date,
        "data": compact_object(data),
    }
