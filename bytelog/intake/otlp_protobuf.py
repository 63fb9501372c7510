"""The Protobuf encoding of OTLP; importing it fails without the extra `bytelog[otlp]`.

An empty message takes two bytes, and a hundred as an object. So only one log record, resource or
scope is an object at a time; the messages around them are split as bytes.
(https://protobuf.dev/programming-guides/encoding/)
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError
from marshmallow import ValidationError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from ..config import MAX_BODY_BYTES
from .otlp_parts import Resource, Scope
from .recording import check_count

FIELDS_PER_EVENT = 10
"""Fields of the messages around log records, on average: a record alone in its scope has seven."""

_HEAD, _PARTS, _SCHEMA_URL = 1, 2, 3
"""The fields of ResourceLogs and of ScopeLogs."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""The types of fields on the wire."""

_Split = Callable[[bytes], Iterator[tuple[int, bytes]]]


def split(body: bytes) -> list[Resource]:
    """Return the resources of a request.

    Raises ValidationError if it is not Protobuf, and RequestEntityTooLarge if it has more fields
    than a request with BYTELOG_BATCH_EVENTS log records needs.
    """
    read = partial(_read_fields, numbers=count(1))
    try:
        return [_split_resource(read, part) for field, part in read(body) if field == _HEAD]
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        raise ValidationError(f"Not Protobuf: {error}.") from error


def decode_resource(part: bytes) -> dict[str, Any]:
    """Return a resource as OTLP's JSON has it; raises ValidationError."""
    return _decode(part, ResourceMessage)


def decode_scope(part: bytes) -> dict[str, Any]:
    """Return a scope as OTLP's JSON has it; raises ValidationError."""
    return _decode(part, InstrumentationScope)


def decode_record(part: bytes) -> dict[str, Any]:
    """Return a log record as OTLP's JSON has it; raises ValidationError."""
    if len(part) > MAX_BODY_BYTES:
        raise ValidationError(f"A log record may have at most {MAX_BODY_BYTES} bytes.")
    return _decode(part, LogRecord)


def write_response(content: dict[str, Any]) -> bytes:
    """Return a response in Protobuf."""
    response = ParseDict(content, ExportLogsServiceResponse())
    return bytes(response.SerializeToString())


def _split_resource(read: _Split, message: bytes) -> Resource:
    head, parts, schema_url = _group(read(message))
    return Resource(head, [Scope(*_group(read(part))) for part in parts], schema_url)


def _group(fields: Iterator[tuple[int, bytes]]) -> tuple[bytes, list[bytes], str | None]:
    """Return the fields of a ResourceLogs or a ScopeLogs: the head, the parts and `schema_url`."""
    head, parts, schema_url = b"", [], None
    for field, content in fields:
        if field == _HEAD:
            head += content  # Messages are merged by joining their bytes.
        elif field == _PARTS:
            parts.append(content)
        elif field == _SCHEMA_URL:
            schema_url = content.decode()
    return head, parts, schema_url


def _read_fields(message: bytes, numbers: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a message that have a length, with their numbers.

    `numbers` counts all fields of the request. Raises DecodeError and IndexError.
    """
    position = 0
    while position < len(message):
        check_count(next(numbers) // FIELDS_PER_EVENT)
        tag, position = _read_varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            position = _read_varint(message, position)[1]
            continue
        if kind == _BYTES:
            size, position = _read_varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise DecodeError(f"a field has the type {kind}")
        start, position = position, position + size
        if position > len(message):
            raise DecodeError("it ends early")
        if kind == _BYTES:
            yield tag >> 3, message[start:position]


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return an integer and where it ends; raises DecodeError, and IndexError at the end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("an integer is too long")


def _decode(part: bytes, kind: type[Any]) -> dict[str, Any]:
    try:
        message = kind.FromString(part)
    except DecodeError as error:
        raise ValidationError(f"Not Protobuf: {error}.") from error
    members: dict[str, Any] = {}
    # The library takes several times as long, so it gets only what occurs once.
    if message.attributes:
        members["attributes"] = [_write_pair(pair) for pair in message.attributes]
        message.ClearField("attributes")
    if kind is LogRecord:
        if message.HasField("body"):
            members["body"] = _write_value(message.body)
            message.ClearField("body")
        # OTLP differs from the JSON of Protobuf in this, which has them in Base64.
        members |= {"traceId": message.trace_id.hex(), "spanId": message.span_id.hex()}
        message.ClearField("trace_id")
        message.ClearField("span_id")
    members |= MessageToDict(message, use_integers_for_enums=True)
    return {name: value for name, value in members.items() if value != ""}


def _write_pair(pair: Any) -> dict[str, Any]:
    members = {"key": pair.key} if pair.key else {}
    if pair.HasField("value"):
        members["value"] = _write_value(pair.value)
    return members


def _write_value(value: Any) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind is None:
        return {}
    plain = getattr(value, kind)
    match kind:
        case "string_value":
            return {"stringValue": plain}
        case "int_value":
            return {"intValue": str(plain)}
        case "bool_value":
            return {"boolValue": plain}
        case "double_value":
            return {"doubleValue": plain if math.isfinite(plain) else _NOT_FINITE[str(plain)]}
        case "bytes_value":
            return {"bytesValue": b64encode(plain).decode()}
        case "array_value":
            return {"arrayValue": _write_list([_write_value(each) for each in plain.values])}
        case "kvlist_value":
            return {"kvlistValue": _write_list([_write_pair(each) for each in plain.values])}
    return dict(MessageToDict(value))


def _write_list(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {"values": values} if values else {}


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
