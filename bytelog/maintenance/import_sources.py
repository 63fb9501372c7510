"""The exports of other systems, with one JSON object per line, as events of bytelog.

             segment             posthog                  mixpanel                  clef
id           messageId           uuid, id                 properties.$insert_id
name         event, type         event                    event                     @mt, @m, @l
trace_id     userId,             properties.$session_id,  properties.distinct_id    @tr, TraceId,
             anonymousId         distinct_id,                                       CorrelationId,
                                 properties.distinct_id                             RequestId
date         timestamp,          timestamp                properties.time           @t
             originalTimestamp,
             sentAt, receivedAt

A field is read from the first of its members that is a number or a string that is not empty. The
`id` is 63 bits of the SHA-256 of the member, so that it is the same in every import. Without such a
member, the `id` is the line's number, the trace id is the `id`, the date is the current time, and
the name of a CLEF event is "Information"; events of the other systems must have a name. A numeric
date is in seconds since 1970, or in milliseconds from 10^11 on. Names and trace ids are cut to
MAX_TEXT_LENGTH characters.

`data` contains the line as it was written, without the members that a field repeats exactly:
members that were cut, converted, hashed or not used remain. (RudderStack uses Segment's
specification; CLEF is written by Serilog and exported by Seq.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from .. import timestamps
from ..config import MAX_TEXT_LENGTH
from ..events.i_json import Member, ObjectText, compact_object, split_members

_LOWEST_MILLISECONDS = 10**11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Value(NamedTuple):
    value: str | int | float
    member: str | None  # None for a nested member


@dataclass(frozen=True, slots=True)
class Source:
    """The members of a line from which each field is read; `a.b` is the member `b` within `a`."""

    id: tuple[str, ...]
    name: tuple[str, ...]
    trace_id: tuple[str, ...]
    date: tuple[str, ...]
    defaults: Mapping[str, str] = field(default_factory=dict)

    def parse(self, line: str, number: int) -> dict[str, Any]:
        """Return the members of the event in a line, for `load_event`; raises InvalidJSON."""
        members = split_members(compact_object(line).text)
        identity = _find_first(members, self.id)
        event_id = _hash(str(identity.value)) if identity else number
        event = {"id": event_id, "trace_id": str(event_id), **self.defaults}
        for name, write in (
            ("name", _format_text),
            ("trace_id", _format_text),
            ("date", _format_date),
        ):
            source = _find_first(members, getattr(self, name))
            if source:
                event[name] = write(source.value)
            if source and source.member is not None and source.value == event[name]:
                del members[source.member]
        data = ",".join(f"{member.name}:{member.text}" for member in members.values())
        return {**event, "data": ObjectText(f"{{{data}}}")}


SOURCES = {
    "segment": Source(
        id=("messageId",),
        name=("event", "type"),
        trace_id=("userId", "anonymousId"),
        date=("timestamp", "originalTimestamp", "sentAt", "receivedAt"),
    ),
    "posthog": Source(
        id=("uuid", "id"),
        name=("event",),
        trace_id=("properties.$session_id", "distinct_id", "properties.distinct_id"),
        date=("timestamp",),
    ),
    "mixpanel": Source(
        id=("properties.$insert_id",),
        name=("event",),
        trace_id=("properties.distinct_id",),
        date=("properties.time",),
    ),
    "clef": Source(
        id=(),
        name=("@mt", "@m", "@l"),
        trace_id=("@tr", "TraceId", "CorrelationId", "RequestId"),
        date=("@t",),
        defaults={"name": "Information"},
    ),
}
"""The supported systems, by their name in `bytelog import --from`."""


def _find_first(members: Mapping[str, Member], paths: tuple[str, ...]) -> _Value | None:
    for path in paths:
        name, _, inner = path.partition(".")
        value = members[name].value if name in members else None
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return _Value(value, None if inner else name)
    return None


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1


def _format_text(value: str | float) -> str:
    return str(value)[:MAX_TEXT_LENGTH]


def _format_date(value: str | float) -> str:
    """Return a date in bytelog's format; what is not a date is returned as text."""
    try:
        if isinstance(value, str):
            return timestamps.format_utc(timestamps.parse(value))
        unit = "milliseconds" if value >= _LOWEST_MILLISECONDS else "seconds"
        return timestamps.format_utc(_EPOCH + timedelta(**{unit: value}))
    except (ValueError, OverflowError):
        return str(value)
