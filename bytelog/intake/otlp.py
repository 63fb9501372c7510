"""OpenTelemetry's protocol for logs, OTLP/HTTP, in JSON and with an extra in Protobuf.

Log records have no ids, so each is stored at least once: an exporter that gets no response sends it
again. Errors are a message `Status`, in the encoding of the request.
(https://opentelemetry.io/docs/specs/otlp/#otlphttp)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import msgspec
from flask import Blueprint, Flask, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wrappers import Response

from ..api import rejections
from ..api.errors import DETAIL, describe
from ..auth.keys import Grant
from ..config import MAX_BODY_BYTES, MAX_DEPTH, RETRY_AFTER_SECONDS
from ..events.i_json import decode_text
from ..sources import otlp
from ..sources.mappings import Message
from .recording import Load, check_count, record_valid, split_texts
from .requests import decode, takes_bodies

JSON, PROTOBUF = "application/json", "application/x-protobuf"

blueprint = Blueprint("otlp", __name__, url_prefix="/v1")


class ScopeLogs(msgspec.Struct, rename="camel", gc=False):
    """The log records of a scope, which are decoded one by one: an invalid one is left out."""

    scope: msgspec.Raw = msgspec.Raw(b"null")
    log_records: msgspec.Raw = msgspec.Raw(b"null")
    schema_url: str | None = None


class ResourceLogs(msgspec.Struct, rename="camel", gc=False):
    """The log records of a resource."""

    resource: msgspec.Raw = msgspec.Raw(b"null")
    scope_logs: list[ScopeLogs] | None = None
    schema_url: str | None = None


class LogsRequest(msgspec.Struct, rename="camel"):
    """The body of a request."""

    resource_logs: list[ResourceLogs] | None = None


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.post("/logs")
@takes_bodies()
def record_logs(grant: Grant, body: bytes) -> Response:
    """Store log records."""
    content = decode(_read_json(body), LogsRequest)
    problems = record_valid(grant, "otlp", _list_messages(content))
    if not problems:
        return _respond({})
    detail = describe(ValidationError(problems))
    rejections.note(detail, f"200 without {len(problems)} log records")
    rejected = {"rejectedLogRecords": str(len(problems)), "errorMessage": unquote(detail)}
    return _respond({"partialSuccess": rejected})


@blueprint.after_request
def shape_error(response: Response) -> Response:
    """Send an error as a message `Status`."""
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return response
    if response.status_code == HTTPStatus.INSUFFICIENT_STORAGE:
        # Exporters send a request again after a 503 alone, and the disk will have room again.
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    message = unquote(response.headers.get(DETAIL, "")) or response.status
    is_protobuf = request.mimetype == PROTOBUF
    response.set_data(_encode_status(message) if is_protobuf else json.dumps({"message": message}))
    response.mimetype = PROTOBUF if is_protobuf else JSON
    return response


def _read_json(body: bytes) -> bytes:
    if request.mimetype == PROTOBUF:
        return bytes(_load_protobuf().to_json(body))
    if request.mimetype != JSON:
        raise UnsupportedMediaType(f"Send {JSON} or {PROTOBUF}.")
    return body


def _load_protobuf() -> ModuleType:
    try:
        from . import otlp_protobuf
    except ImportError as error:
        raise UnsupportedMediaType(
            "Protobuf needs the extra `bytelog[otlp]` on the server. Without it, let the exporter "
            "send JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json."
        ) from error
    return otlp_protobuf


def _list_messages(content: LogsRequest) -> list[Load]:
    """Return the functions that read the log records; raises RequestEntityTooLarge."""
    limit = current_app.config["BYTELOG_BATCH_BYTES"]
    resources = content.resource_logs or ()
    check_count(len(resources))
    check_count(sum(len(resource.scope_logs or ()) for resource in resources))
    size = 0
    messages: list[Load] = []
    for record, context in _list_records(content):
        # Each event has the resource and the scope that its log record shares with others.
        size += len(record) + len(context.text)
        if size > limit:
            raise RequestEntityTooLarge(
                f"A batch may have at most {limit} bytes, with the resource of each log record."
            )
        messages.append(partial(_read_message, record, context))
        check_count(len(messages))
    return messages


def _list_records(content: LogsRequest) -> Iterator[tuple[bytes, otlp.Context]]:
    for resource in content.resource_logs or ():
        # Once, since it may be large and have many scopes.
        resource_text = _write_resource(resource)
        for scope in resource.scope_logs or ():
            if records := _split_records(bytes(scope.log_records)):
                context = _build_context(resource_text, scope)
                yield from ((record, context) for record in records)


def _write_resource(resource: ResourceLogs) -> str:
    text = bytes(resource.resource)
    if len(text) > MAX_BODY_BYTES:  # Its log records are too long with it.
        return decode_text(text)
    return otlp.write_part(_decode_part(text), resource.schema_url)


def _build_context(resource_text: str, scope: ScopeLogs) -> otlp.Context:
    text = bytes(scope.scope)
    if len(text) > MAX_BODY_BYTES:
        return otlp.Context("", decode_text(text))
    return otlp.build_context(resource_text, _decode_part(text), scope.schema_url)


def _decode_part(text: bytes) -> dict[str, Any]:
    return {} if text == b"null" else decode(text, dict[str, Any])


def _split_records(array: bytes) -> list[bytes]:
    return [] if array == b"null" else split_texts(array)


def _read_message(record: bytes, context: otlp.Context) -> Message:
    try:
        return otlp.parse(decode(record, dict[str, Any]), context)
    except RecursionError as error:
        raise ValidationError(f"Nested deeper than {MAX_DEPTH} levels.") from error


def _respond(content: dict[str, Any]) -> Response:
    if request.mimetype == PROTOBUF:
        return Response(_load_protobuf().write_response(content), mimetype=PROTOBUF)
    return Response(json.dumps(content), mimetype=JSON)


def _encode_status(message: str) -> bytes:
    """Return a message `google.rpc.Status` with a text, which is its field 2."""
    text = message.encode()
    length, size = bytearray(), len(text)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x12" + bytes([*length, size]) + text
