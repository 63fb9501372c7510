"""The messages of other systems as events of bytelog, whether imported from a file or posted.

             segment             posthog                  mixpanel                  clef
id           messageId           uuid, id                 properties.$insert_id
name         event, type         event                    event                     @mt, @m, @l
trace_id     userId,             properties.$session_id,  properties.distinct_id    @tr, TraceId,
             anonymousId         distinct_id,                                       CorrelationId,
                                 properties.distinct_id                             RequestId
date         timestamp,          timestamp                properties.time           @t
             originalTimestamp,
             sentAt, receivedAt

A field takes the first of its members that is a number or a text that is not empty. `id` is 63
bits of the SHA-256 of that member, so a message that arrives twice has the same `id` both times. If
a message has none of the members of a field:
- `id` is what the caller assigns, such as the number of an imported line.
- `trace_id` is the `id` of a message that has one, else a text from the caller that no other
  message has.
- `date` is the present moment; a CLEF event must have a date.
- `name` is "Information" in CLEF; other messages must have a name.
A date that is a number counts seconds since 1970, or milliseconds from 10^11 on; Mixpanel counts
from 1970 in the time zone of the project. Names and trace ids are cut after MAX_TEXT_LENGTH
characters.

`data` contains the message as it was written, without the members that a field repeats exactly:
members that were cut, converted, hashed or not used remain. (RudderStack uses Segment's
specification; CLEF is written by Serilog and exported by Seq.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import uuid4

from marshmallow import ValidationError

from .. import timestamps
from ..config import MAX_TEXT_LENGTH
from ..events.i_json import Member, compact_object, join_members, split_members

_LOWEST_MILLISECONDS = 10**11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Mapping[str, str] = {}


class _Value(NamedTuple):
    value: str | int | float
    text: str  # A number as it was written: the value may have fewer digits.
    member: str | None  # None for a nested member


class Message(NamedTuple):
    """A message of another system: its own id, None without one, and the members of its event."""

    id: str | None
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The members of a message that become each field; `a.b.c` is the member `c` of `b` in `a`.

    `secrets` are members that contain keys; they are dropped.
    """

    id: tuple[str, ...]
    name: tuple[str, ...]
    trace_id: tuple[str, ...]
    date: tuple[str, ...]
    defaults: Mapping[str, str] = field(default_factory=dict)
    has_dates: bool = False  # in every message
    secrets: tuple[str, ...] = ()

    def parse(
        self,
        text: str,
        own_id: int,
        own_trace_id: str,
        time_zone: tzinfo | None = None,
        beside: Mapping[str, str] = _NOTHING,
    ) -> Message:
        """Return the message in a text, with the members of its event for `load_event`.

        `own_id` is for a message without an id, `own_trace_id` for one that has no trace id either,
        and `time_zone` is that of dates that are numbers. `beside` has values of paths that are not
        in the text; `data` has them too, by these paths, if no field repeats them exactly.
        Raises InvalidJSON and ValidationError.
        """
        members = self._read_members(text, beside)
        key = _find_first(members, self.id)
        event: dict[str, Any] = {"id": own_id, "trace_id": own_trace_id, **self.defaults}
        if key:
            event["id"] = compute_id(key.text)
            event["trace_id"] = str(event["id"])
        self._take_fields(members, event, time_zone or UTC)
        event["data"] = join_members(members.values())
        return Message(key.text if key else None, event)

    def _read_members(self, text: str, beside: Mapping[str, str]) -> dict[str, Member]:
        members = split_members(compact_object(text).text)
        for name in self.secrets:
            members.pop(name, None)
        for path, value in beside.items():
            members[path] = Member(value, json.dumps(path), json.dumps(value, ensure_ascii=False))
        return members

    def _take_fields(
        self, members: dict[str, Member], event: dict[str, Any], time_zone: tzinfo
    ) -> None:
        """Set the fields that members have, and remove the members that a field repeats exactly.

        Raises ValidationError.
        """
        for name in ("name", "trace_id", "date"):
            if not (found := _find_first(members, getattr(self, name))):
                continue
            value, text, member = found
            is_date = name == "date"
            event[name] = _format_date(value, time_zone) if is_date else text[:MAX_TEXT_LENGTH]
            if member is not None and value == event[name]:
                del members[member]
        if self.has_dates and "date" not in event:
            raise ValidationError("Missing data for required field.", self.date[0])


SOURCES = {
    "segment": Source(
        id=("messageId",),
        name=("event", "type"),
        trace_id=("userId", "anonymousId"),
        date=("timestamp", "originalTimestamp", "sentAt", "receivedAt"),
        secrets=("writeKey",),
    ),
    "posthog": Source(
        id=("uuid", "id"),
        name=("event",),
        trace_id=("properties.$session_id", "distinct_id", "properties.distinct_id"),
        date=("timestamp",),
        secrets=("api_key",),
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
        has_dates=True,
    ),
}
"""The supported systems, by their name in `bytelog import --from`."""


def compute_id(text: str) -> int:
    """Return the `id` of the event whose message has a text as its id: 63 bits of the SHA-256."""
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1


def create_trace_id() -> str:
    """Return a trace id that no other event has."""
    return uuid4().hex


def _find_first(members: Mapping[str, Member], paths: tuple[str, ...]) -> _Value | None:
    for path in paths:
        name, *inner = [path] if path in members else path.split(".")
        value = members[name].value if name in members else None
        for inner_name in inner:
            value = value.get(inner_name) if isinstance(value, dict) else None
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            text = value if isinstance(value, str) else _find_text(members[name], inner)
            return _Value(value, text, None if inner else name)
    return None


def _find_text(member: Member, names: Sequence[str]) -> str:
    for name in names:
        member = split_members(member.text)[name]
    return member.text


def _format_date(value: str | float, time_zone: tzinfo) -> str:
    """Return a date as it comes back from bytelog; what is none, as it is."""
    try:
        if isinstance(value, str):
            # Data warehouses write "2024-05-01 08:00:00 UTC".
            return timestamps.format_utc(timestamps.parse(re.sub(r"(?<=\d) UTC$", "Z", value)))
        unit = "milliseconds" if value >= _LOWEST_MILLISECONDS else "seconds"
        moment = _EPOCH + timedelta(**{unit: value})
        return timestamps.format_utc(moment.replace(tzinfo=time_zone))
    except (ValueError, OverflowError):
        return str(value)
