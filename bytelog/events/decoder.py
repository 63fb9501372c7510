"""Decoding events in C, as far as it is certain that the schema would accept them unchanged.

No library checks all that I-JSON requires, and keeps `data` as it was written. So each does a part:

- `jiter` refuses duplicate names, lone surrogates, NaN and Infinity.
- `msgspec` refuses numbers that overflow a double, and what is not an event. It removes the spaces
  between tokens, and finds where `data` starts and ends.

What they refuse, and what is rare, is left to the schema, which names the error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import Annotated

import jiter
import msgspec

from .. import timestamps
from ..config import MAX_BODY_BYTES, MAX_DEPTH, MAX_ID, MAX_TEXT_LENGTH, MIN_ID
from .i_json import decode_array, decode_text

PIECE_BYTES = 64 * 1024
"""Bytes of an array that are split at a time, so that its elements are not all in memory."""

_SPACE = b" \t\n\r"
_NUL = b"\\u0000"
_STORED_DATE = re.compile(r"(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_LENGTH)]


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[int, msgspec.Meta(ge=MIN_ID, le=MAX_ID)]
    name: _Text
    trace_id: _Text
    date: str | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw = msgspec.Raw(b"{}")


_decode_any = msgspec.json.Decoder().decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_event(text: bytes) -> tuple[int, str, str, str, str] | None:
    """Return the fields of an event, its date and data as they are stored; None if unsure."""
    if len(text) > MAX_BODY_BYTES or _NUL in text:
        return None
    try:
        _decode_any(text)
        jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
        event = _decode_event(msgspec.json.format(text, indent=-1))
        date = _convert_date(event.date)
    except (ValueError, RecursionError):
        return None
    data = bytes(event.data)
    if not data.startswith(b"{") or data.count(b"{") + data.count(b"[") >= MAX_DEPTH:
        return None
    return event.id, event.name, event.trace_id, date, data.decode()


def split_array(body: bytes) -> Iterator[bytes]:
    """Yield the text of each element of a JSON array; raises InvalidJSON."""
    count, position, end = 0, body.index(b"[") + 1, len(body.rstrip(_SPACE)) - 1
    while piece := _split_piece(body, position, end):
        elements, position = piece
        yield from elements
        if position > end:
            return
        count += len(elements)
    for text in islice(decode_array(decode_text(body)), count, None):
        yield text.encode()


def _split_piece(body: bytes, start: int, end: int) -> tuple[list[bytes], int] | None:
    """Return some elements, and where the next ones start; None if unsure."""
    size = PIECE_BYTES
    while body.endswith(b"]", start, end + 1):
        # An element may end at the cut. It does if the text up to there is complete.
        cut = body.find(b"},", start + size, end) + 1 or end
        if cut - start > MAX_BODY_BYTES + PIECE_BYTES:
            return None
        try:
            elements = _decode_array(b"[%b]" % body[start:cut])
        except (msgspec.MsgspecError, RecursionError):
            elements = []
        if elements:
            return [bytes(element) for element in elements], cut + 1
        if cut == end:
            return None
        size *= 2
    return None


def _convert_date(text: str | msgspec.UnsetType) -> str:
    """Return a date as it is stored; raises ValueError."""
    if text is msgspec.UNSET:
        return timestamps.format_utc(timestamps.now())
    if match := _STORED_DATE.fullmatch(text):
        _check_day(match[1])
        return text
    return timestamps.format_utc(timestamps.parse(text))


@lru_cache(1000)
def _check_day(text: str) -> None:
    date.fromisoformat(text)
