"""The Protobuf encoding of OTLP; importing it fails without the extra `bytelog[otlp]`.

A message of two bytes takes a hundred as an object, and microseconds. So only one log record,
resource or scope is an object at a time, and the number of messages in all of them is limited.
(https://protobuf.dev/programming-guides/encoding/)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import current_app
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError
from marshmallow import ValidationError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from werkzeug.exceptions import RequestEntityTooLarge

from ..config import MAX_BODY_BYTES
from .otlp_parts import Resource, Scope
from .recording import check_count

FIELDS_PER_EVENT = 10
"""Fields of the messages around log records, on average: a record alone in its scope has seven."""

_HEAD, _PARTS, _SCHEMA_URL = 1, 2, 3
"""The fields of ResourceLogs and of ScopeLogs."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""The types of fields on the wire."""

VALUES_PER_EVENT = 128
"""Attributes and elements of arrays, on average: as many attributes as SDKs allow a log record."""

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_PLAIN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string_value": ("stringValue", str),
    "int_value": ("intValue", str),
    "bool_value": ("boolValue", bool),
    "double_value": ("doubleValue", lambda value: _NOT_FINITE.get(str(value), value)),
    "bytes_value": ("bytesValue", lambda value: b64encode(value).decode()),
}
"""The names of plain values in OTLP's JSON, and how it writes them."""


class Reader:
    """Reads a request. Each method raises RequestEntityTooLarge if the request has too many parts.

    The limits are BYTELOG_BATCH_EVENTS times FIELDS_PER_EVENT and VALUES_PER_EVENT.
    """

    def __init__(self) -> None:
        self._fields = 0
        self._values = 0

    def split(self, body: bytes) -> list[Resource]:
        """Return the resources of a request; raises ValidationError if it is not Protobuf."""
        try:
            resources = [
                self._split_resource(part)
                for field, part in self._read_fields(body)
                if field == _HEAD
            ]
        except (DecodeError, IndexError, UnicodeDecodeError) as error:
            raise ValidationError(f"Not Protobuf: {error}.") from error
        check_count(len(resources))
        check_count(sum(len(resource.scopes) for resource in resources))
        return resources

    def decode_resource(self, part: bytes) -> dict[str, Any]:
        """Return a resource as OTLP's JSON has it; raises ValidationError."""
        return self._write_message(_decode(part, ResourceMessage))

    def decode_scope(self, part: bytes) -> dict[str, Any]:
        """Return a scope as OTLP's JSON has it; raises ValidationError."""
        return self._write_message(_decode(part, InstrumentationScope))

    def decode_record(self, part: bytes) -> dict[str, Any]:
        """Return a log record as OTLP's JSON has it; raises ValidationError."""
        if len(part) > MAX_BODY_BYTES:
            raise ValidationError(f"A log record may have at most {MAX_BODY_BYTES} bytes.")
        record = _decode(part, LogRecord)
        members: dict[str, Any] = {}
        if record.HasField("body"):
            members["body"] = self._write_value(record.body)
            record.ClearField("body")
        # OTLP differs from the JSON of Protobuf in this, which has them in Base64.
        for name, field in (("traceId", "trace_id"), ("spanId", "span_id")):
            if octets := getattr(record, field):
                members[name] = octets.hex()
                record.ClearField(field)
        return members | self._write_message(record)

    def _split_resource(self, message: bytes) -> Resource:
        head, parts, schema_url = self._group_fields(message)
        return Resource(head, [Scope(*self._group_fields(part)) for part in parts], schema_url)

    def _group_fields(self, message: bytes) -> tuple[bytes, list[bytes], str | None]:
        """Return the head, the parts and the schema URL of a ResourceLogs or a ScopeLogs."""
        heads, parts, schema_url = [], [], None
        for field, content in self._read_fields(message):
            if field == _HEAD:
                heads.append(content)
            elif field == _PARTS:
                parts.append(content)
            elif field == _SCHEMA_URL:
                schema_url = content.decode()
        return b"".join(heads), parts, schema_url  # Messages are merged by joining their bytes.

    def _read_fields(self, message: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the numbers and the content of fields with a length.

        Raises DecodeError, and IndexError where the message ends early.
        """
        position = 0
        while position < len(message):
            self._fields += 1
            _check_limit(self._fields, FIELDS_PER_EVENT, "fields around its log records")
            tag, position = _read_varint(message, position)
            start, end = _find_content(message, tag & 7, position)
            if end > len(message):
                raise DecodeError("it ends early")
            if tag & 7 == _BYTES:
                yield tag >> 3, message[start:end]
            position = end

    def _write_message(self, message: Any) -> dict[str, Any]:
        # The library takes several times as long, so it gets only what occurs once.
        attributes = self._write_pairs(message.attributes)
        message.ClearField("attributes")
        members: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
        return members | ({"attributes": attributes} if attributes else {})

    def _write_pairs(self, pairs: Sequence[Any]) -> list[dict[str, Any]]:
        self._count_values(len(pairs))
        return [
            ({"key": pair.key} if pair.key else {})
            | ({"value": self._write_value(pair.value)} if pair.HasField("value") else {})
            for pair in pairs
        ]

    def _write_value(self, value: Any) -> dict[str, Any]:
        kind = value.WhichOneof("value")
        if kind is None:
            return {}
        content = getattr(value, kind)
        if kind == "array_value":
            self._count_values(len(content.values))
            return _write_list("arrayValue", [self._write_value(each) for each in content.values])
        if kind == "kvlist_value":
            return _write_list("kvlistValue", self._write_pairs(content.values))
        if kind not in _PLAIN:  # It is newer than this file.
            return dict(MessageToDict(value))
        name, write = _PLAIN[kind]
        return {name: write(content)}

    def _count_values(self, number: int) -> None:
        self._values += number
        _check_limit(self._values, VALUES_PER_EVENT, "attributes and elements of arrays")


def write_response(content: dict[str, Any]) -> bytes:
    """Return a response in Protobuf."""
    response = ParseDict(content, ExportLogsServiceResponse())
    return bytes(response.SerializeToString())


def _check_limit(number: int, per_event: int, parts: str) -> None:
    limit = current_app.config["BYTELOG_BATCH_EVENTS"] * per_event
    if number > limit:
        raise RequestEntityTooLarge(f"A request may have at most {limit} {parts}.")


def _find_content(message: bytes, kind: int, position: int) -> tuple[int, int]:
    """Return where the content of a field starts and ends; raises DecodeError and IndexError."""
    if kind == _VARINT:
        return position, _read_varint(message, position)[1]
    if kind == _BYTES:
        size, position = _read_varint(message, position)
        return position, position + size
    if kind in (_FIXED64, _FIXED32):
        return position, position + (8 if kind == _FIXED64 else 4)
    raise DecodeError(f"a field has the type {kind}")


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


def _decode(part: bytes, kind: type[Any]) -> Any:
    try:
        return kind.FromString(part)
    except DecodeError as error:
        raise ValidationError(f"Not Protobuf: {error}.") from error


def _write_list(name: str, values: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: {"values": values} if values else {}}
