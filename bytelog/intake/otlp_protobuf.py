"""The Protobuf encoding of OTLP; importing it fails without the extra `bytelog[otlp]`."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError
from marshmallow import ValidationError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from .recording import check_count


def to_json(body: bytes) -> bytes:
    """Return a request in OTLP's JSON.

    Raises ValidationError if it is not Protobuf, and RequestEntityTooLarge for more than
    BYTELOG_BATCH_EVENTS resources, scopes or log records.
    """
    try:
        message = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValidationError(f"Not Protobuf: {error}.") from error
    # The objects of millions of them would take gigabytes.
    resources = message.resource_logs
    check_count(len(resources))
    check_count(sum(len(resource.scope_logs) for resource in resources))
    scopes = (scope for resource in resources for scope in resource.scope_logs)
    check_count(sum(len(scope.log_records) for scope in scopes))
    content = MessageToDict(message, use_integers_for_enums=True)
    for resource in content.get("resourceLogs", ()):
        for scope in resource.get("scopeLogs", ()):
            for record in scope.get("logRecords", ()):
                _write_ids_in_hexadecimal(record)
    return json.dumps(content, ensure_ascii=False).encode()


def write_response(content: dict[str, Any]) -> bytes:
    """Return a response in Protobuf."""
    response = ParseDict(content, ExportLogsServiceResponse())
    return bytes(response.SerializeToString())


def _write_ids_in_hexadecimal(record: dict[str, Any]) -> None:
    # OTLP differs from the JSON of Protobuf in this, which has them in Base64.
    for name in ("traceId", "spanId"):
        if name in record:
            record[name] = b64decode(record[name]).hex()
