"""Log records of OpenTelemetry, in the JSON of its protocol OTLP, as events of bytelog.

id        63 bits of the SHA-256 of `data`
name      `eventName`, else the attribute `event.name`, else the scope's name, else "log"
trace_id  `traceId`, else the attribute `session.id`, else a text that no other event has
date      `timeUnixNano`, else `observedTimeUnixNano`, else the present moment

Names and trace ids are cut after MAX_TEXT_LENGTH characters. `data` is the log record, without
`eventName` and `traceId` if the fields repeat them exactly, with its `resource` and `scope`.
Attributes are an object there instead of a list of keys and typed values: filters find them.
(https://opentelemetry.io/docs/specs/otlp/, opentelemetry/proto/logs/v1/logs.proto)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from marshmallow import ValidationError

from .. import timestamps
from ..config import MAX_BODY_BYTES, MAX_DEPTH, MAX_TEXT_LENGTH
from ..events.i_json import compact_object
from .mappings import Message, compute_id, create_trace_id

DEFAULT_NAME = "log"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}", re.IGNORECASE)
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_TIMES = ("timeUnixNano", "observedTimeUnixNano")


class Context(NamedTuple):
    """What log records of one scope share: the scope's name, and members of `data` as JSON text."""

    name: str
    text: str


def write_part(part: Mapping[str, Any], schema_url: str | None) -> str:
    """Return a resource or a scope as the JSON text that `data` has."""
    return _dump(_convert_attributes(part) | ({"schemaUrl": schema_url} if schema_url else {}))


def build_context(resource_text: str, scope: Mapping[str, Any], schema_url: str | None) -> Context:
    """Return what the log records of a scope share; `resource_text` is from `write_part`."""
    text = f'"resource":{resource_text},"scope":{write_part(scope, schema_url)}'
    return Context(_text_or_empty(scope.get("name")), text)


def parse(record: Mapping[str, Any], context: Context) -> Message:
    """Return a log record as a message without an id; raises InvalidJSON and ValidationError."""
    members = _convert_attributes(record)
    if "body" in members:
        members["body"] = _convert(members["body"])
    attributes = members.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    event: dict[str, Any] = {
        "name": _find_name(members, attributes, context),
        "trace_id": _find_trace_id(members, attributes),
    }
    if moment := _find_date(members):
        event["date"] = timestamps.format_utc(moment)
    for field, member in (("name", "eventName"), ("trace_id", "traceId")):
        if event[field] == members.get(member):
            del members[member]
    own = _dump(members)[1:-1]
    text = f"{{{own}{',' if own else ''}{context.text}}}"
    if len(text.encode()) > MAX_BODY_BYTES:
        raise ValidationError(
            f"A log record may have at most {MAX_BODY_BYTES} bytes with its resource and scope."
        )
    return Message(None, {**event, "id": compute_id(text), "data": compact_object(text)})


def _find_name(members: Mapping[str, Any], attributes: Mapping[str, Any], context: Context) -> str:
    names = (members.get("eventName"), attributes.get("event.name"), context.name)
    return next(filter(None, map(_text_or_empty, names)), DEFAULT_NAME)[:MAX_TEXT_LENGTH]


def _find_trace_id(members: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    trace_id = _text_or_empty(members.get("traceId"))
    if _TRACE_ID.fullmatch(trace_id):
        return trace_id.lower()
    return _text_or_empty(attributes.get("session.id"))[:MAX_TEXT_LENGTH] or create_trace_id()


def _find_date(members: Mapping[str, Any]) -> datetime | None:
    """Return the time of a log record, None if it has none; raises ValidationError."""
    for name in _TIMES:
        value = members.get(name)
        if value in (None, "", 0, "0"):
            continue
        try:
            return _EPOCH + timedelta(microseconds=_read_integer(value) // 1000)
        except (OverflowError, ValueError) as error:
            raise ValidationError("Must be nanoseconds since 1970.", name) from error
    return None


def _read_integer(value: Any) -> int:
    """Return a 64-bit integer, which JSON has as a number or a text; raises ValueError."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise ValueError("not an integer")


def _convert_attributes(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return members without those that are null, with their `attributes` as an object."""
    members = {name: value for name, value in members.items() if value is not None}
    if "attributes" in members:
        members["attributes"] = _convert_pairs(members["attributes"], MAX_DEPTH)
    return members


def _convert_pairs(pairs: Any, levels: int) -> Any:
    """Return a list of keys and typed values as an object, or as it is if that loses something."""
    try:
        members = {pair["key"]: _convert(pair.get("value"), levels) for pair in pairs}
    except (AttributeError, KeyError, TypeError):
        return pairs
    is_complete = len(members) == len(pairs) and all(isinstance(name, str) for name in members)
    return members if is_complete else pairs


def _convert(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return an AnyValue as JSON has it, or as it is if JSON has no such value."""
    if value == {}:
        return None
    match value:
        case {"stringValue": str(plain)} | {"boolValue": bool(plain)}:
            return plain
        case {"intValue": number}:
            return _convert_number(value, number, int)
        case {"doubleValue": number}:
            return _convert_number(value, number, float)
        case {"arrayValue": {"values": list(values)}} if levels:
            return [_convert(each, levels - 1) for each in values]
        case {"kvlistValue": {"values": list(pairs)}} if levels:
            return _convert_pairs(pairs, levels - 1)
        # Protobuf leaves out what is empty.
        case {"arrayValue": {**members}} if not members and len(value) == 1:
            return []
        case {"kvlistValue": {**members}} if not members and len(value) == 1:
            return {}
    return value


def _convert_number(value: Any, number: Any, kind: type[int] | type[float]) -> Any:
    try:
        if kind is int:
            return _read_integer(number)
        double = float(number)
    except (OverflowError, TypeError, ValueError):
        return value
    return double if math.isfinite(double) else value


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
