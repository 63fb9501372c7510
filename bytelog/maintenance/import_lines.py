"""The lines of an imported file as events: an export of bytelog or of another system."""

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
"""Maximum size of an imported line: CSV doubles the quotes of an event."""

OWN = "bytelog"
FORMATS = (OWN, *SOURCES)
"""The systems whose exports can be imported; bytelog's own are JSON lines or CSV."""

_HEADER = ",".join(FIELDS).encode()
_APOSTROPHE = re.compile(f"^'(?=[{re.escape(FORMULA_STARTS)}])")
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)

csv.field_size_limit(MAX_LINE_BYTES)


class Lines:
    """The lines of a file as text; `number` is the number of the last line that was read."""

    def __init__(self, file: IO[bytes], number: int) -> None:
        self.number = number
        self._file = file
        self._buffer = bytearray()

    def __iter__(self) -> Iterator[str]:
        """Yield each line; raises InvalidJSON and ValidationError."""
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            self.number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ValidationError(f"Longer than {MAX_LINE_BYTES} bytes.")
            self._buffer += line
            yield decode_text(line)

    def take(self) -> bytes:
        """Return the bytes of the lines that were read since the last call."""
        content = bytes(self._buffer)
        self._buffer.clear()
        return content

    def is_csv(self) -> bool:
        """Return whether the file begins like bytelog's CSV."""
        position = self._file.tell()
        self._file.seek(0)
        beginning = self._file.read(len(_HEADER))
        self._file.seek(position)
        return beginning == _HEADER


def read(lines: Lines, source: str) -> Iterator[dict[str, Any]]:
    """Yield the members of each event, for `load_event`.

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
