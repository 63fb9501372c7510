"""The Protobuf encoding of OTLP; importing it fails without the extra `bytelog[otlp]`."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from flask import current_app
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError
from marshmallow import ValidationError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from werkzeug.exceptions import RequestEntityTooLarge


def to_json(body: bytes) -> bytes:
    """Return a request in OTLP's JSON.

    Raises ValidationError if it is not Protobuf, and RequestEntityTooLarge for more than
    BYTELOG_BATCH_EVENTS log records.
    """
    try:
        message = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValidationError(f"Not Protobuf: {error}.") from error
    count = sum(
        len(scope.log_records) for each in message.resource_logs for scope in each.scope_logs
    )
    limit = current_app.config["BYTELOG_BATCH_EVENTS"]
    if count > limit:  # The objects of millions of records would take gigabytes.
        raise RequestEntityTooLarge(f"A batch may have at most {limit} events.")
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
