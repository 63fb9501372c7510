"""The lines of a file as events: what bytelog exports, and what other systems do."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import IO, Any

from marshmallow import ValidationError

from ..config import MAX_BODY_BYTES
from ..events.i_json import compact_object, decode_object, decode_text
from ..queries.formats import FORMULA_STARTS
from ..storage.models import FIELDS
from .import_sources import SOURCES

MAX_LINE_BYTES = 2 * MAX_BODY_BYTES
"""Bytes of an imported line: CSV doubles the quotes of an event."""


OWN = "bytelog"
FORMATS = (OWN, *SOURCES)
"""What a file may hold: bytelog's own JSON lines or CSV, or the export of another system."""

_HEADER = ",".join(FIELDS).encode()
_APOSTROPHE = re.compile(f"^'(?=[{re.escape(FORMULA_STARTS)}])")
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)

csv.field_size_limit(MAX_LINE_BYTES)


class Lines:
    """The lines of a file as text; `number` is that of the last one."""

    def __init__(self, file: IO[bytes], number: int) -> None:
        self.number = number
        self._file = file
        self._read = bytearray()

    def __iter__(self) -> Iterator[str]:
        """Read line after line; raises InvalidJSON and ValidationError."""
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            self.number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ValidationError(f"Longer than {MAX_LINE_BYTES} bytes.")
            self._read += line
            yield decode_text(line)

    def take(self) -> bytes:
        """Return the bytes of the lines that were read since the last time."""
        taken = bytes(self._read)
        self._read.clear()
        return taken

    def is_csv(self) -> bool:
        """Tell whether the file begins as an export in CSV does."""
        place = self._file.tell()
        self._file.seek(0)
        beginning = self._file.read(len(_HEADER))
        self._file.seek(place)
        return beginning == _HEADER


def read(lines: Lines, source: str) -> Iterator[dict[str, Any]]:
    """Read the members of one event after the other, for `load_event`.

    Raises InvalidJSON, ValidationError and csv.Error.
    """
    if source == OWN and lines.is_csv():
        return _read_csv(lines)
    texts = (text for line in lines if (text := line.strip(" \t\r\n")))
    if source == OWN:
        return map(decode_object, texts)
    return (SOURCES[source].parse(text, lines.number) for text in texts)


def _read_csv(lines: Lines) -> Iterator[dict[str, Any]]:
    for cells in csv.reader(lines, strict=True):
        if cells and cells != list(FIELDS):
            yield _parse_cells(cells)


def _parse_cells(cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(FIELDS):
        raise ValidationError(f"Must have {len(FIELDS)} cells, not {len(cells)}.")
    id_, name, trace_id, date, data = (_APOSTROPHE.sub("", cell) for cell in cells)
    return {
        "id": int(id_) if _INTEGER.fullmatch(id_) else id_,
        "name": name,
        "trace_id": trace_id,
        "date": date,
        "data": compact_object(data),
    }
