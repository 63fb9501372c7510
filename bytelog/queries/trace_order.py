"""Events in the order of their traces, in chunks of many events.

Each chunk is one text: fetching row by row would compete with other threads for Python's lock. One
statement reads all chunks, so it evaluates the conditions once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Select, cast, func, literal, select

from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import Query
from ..storage.reader import Reader
from ..storage.sql import JSONColumns, Milliseconds
from ..storage.types import DateText
from .trace_conditions import Conditions

CHUNK_CHARACTERS = 256 * 1024
"""Characters of a chunk. JSON writes each with up to six bytes, and PAGE_BYTES must suffice."""

_OTHER_CHARACTERS = 32
"""Characters of an event in a chunk besides its trace id and its name, at most."""

_EPOCH = "1970-01-01T00:00:00.000Z"


class TraceEvents(NamedTuple):
    """Events in the order of their traces; the dates are in milliseconds since 1970."""

    traces: list[str]
    names: list[str]
    dates: list[int]


_decode = msgspec.json.Decoder(TraceEvents).decode


def select_chunks(conditions: Conditions) -> Select[Any]:
    """Select the events that fulfill conditions, for `read_chunks`."""
    milliseconds = cast(Milliseconds(literal(_EPOCH, DateText), date), BigInteger)
    characters = func.length(Event.trace_id) + func.length(Event.name) + _OTHER_CHARACTERS
    # The end of an event, if all were written one after the other.
    end = func.sum(characters, type_=BigInteger).over(
        order_by=(Event.trace_id, date, Event.key), rows=(None, 0)
    )
    columns = Event.trace_id, Event.name, milliseconds.label("milliseconds"), end.label("end")
    events = select(*columns).where(*conditions).subquery().c
    chunk = events.end // CHUNK_CHARACTERS
    text = JSONColumns(events.end, events.trace_id, events.name, events.milliseconds)
    return select(text).group_by(chunk).order_by(chunk)


def read_chunks(reader: Reader, query: Query, values: Mapping[str, Any]) -> Generator[TraceEvents]:
    """Yield the events of a query of `select_chunks`, chunk by chunk; raises StorageError."""
    with reader.open(query, values, is_large=True) as rows:
        for (text,) in rows:
            yield _decode(text)
