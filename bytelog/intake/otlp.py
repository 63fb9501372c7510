"""OpenTelemetry's protocol for logs, OTLP/HTTP, in JSON and with an extra in Protobuf.

Log records have no ids, so each is stored at least once: an exporter that gets no response sends it
again. Errors are a message `Status`, in the encoding of the request.
(https://opentelemetry.io/docs/specs/otlp/#otlphttp)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from http import HTTPStatus
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Flask, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wrappers import Response

from ..api import rejections
from ..api.errors import DETAIL, describe
from ..auth.keys import Grant
from ..config import MAX_BODY_BYTES, MAX_DEPTH, RETRY_AFTER_SECONDS
from ..sources import otlp
from ..sources.mappings import Message
from . import otlp_json
from .otlp_parts import Reader, Resource, Scope
from .recording import Load, check_count, record_valid
from .requests import takes_bodies

JSON, PROTOBUF = "application/json", "application/x-protobuf"

blueprint = Blueprint("otlp", __name__, url_prefix="/v1")


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.post("/logs")
@takes_bodies()
def record_logs(grant: Grant, body: bytes) -> Response:
    """Store log records."""
    problems = record_valid(grant, "otlp", _list_messages(body))
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


def _find_encoding() -> ModuleType:
    """Return the module for the encoding of the request; raises UnsupportedMediaType."""
    if request.mimetype == PROTOBUF:
        return _load_protobuf()
    if request.mimetype != JSON:
        raise UnsupportedMediaType(f"Send {JSON} or {PROTOBUF}.")
    return otlp_json


def _load_protobuf() -> ModuleType:
    try:
        from . import otlp_protobuf
    except ImportError as error:
        raise UnsupportedMediaType(
            "Protobuf needs the extra `bytelog[otlp]` on the server. Without it, let the exporter "
            "send JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json."
        ) from error
    return otlp_protobuf


def _list_messages(body: bytes) -> list[Load]:
    """Return the functions that read the log records; raises RequestEntityTooLarge."""
    reader: Reader = _find_encoding().Reader()
    limit = current_app.config["BYTELOG_BATCH_BYTES"]
    size = 0
    messages: list[Load] = []
    for record, context in _list_records(reader, reader.split(body)):
        # Each event has the resource and the scope that its log record shares with others.
        size += len(record) + len(context.text)
        if size > limit:
            raise RequestEntityTooLarge(
                f"A batch may have at most {limit} bytes, with the resource of each log record."
            )
        messages.append(partial(_read_message, reader, record, context))
        check_count(len(messages))
    return messages


def _list_records(
    reader: Reader, resources: Sequence[Resource]
) -> Iterator[tuple[bytes, otlp.Context]]:
    for resource in resources:
        # Once, since it may be large and have many scopes.
        resource_text = _write_resource(reader, resource)
        for scope in resource.scopes:
            if scope.records:
                context = _build_context(reader, resource_text, scope)
                yield from ((record, context) for record in scope.records)


def _write_resource(reader: Reader, resource: Resource) -> str:
    part = resource.resource
    if len(part) > MAX_BODY_BYTES:  # Its log records are too long with it.
        return part.decode(errors="replace")
    return otlp.write_part(reader.decode_resource(part), resource.schema_url)


def _build_context(reader: Reader, resource_text: str, scope: Scope) -> otlp.Context:
    part = scope.scope
    if len(part) > MAX_BODY_BYTES:
        return otlp.Context("", part.decode(errors="replace"))
    return otlp.build_context(resource_text, reader.decode_scope(part), scope.schema_url)


def _read_message(reader: Reader, record: bytes, context: otlp.Context) -> Message:
    try:
        return otlp.parse(reader.decode_record(record), context)
    except RecursionError as error:
        raise ValidationError(f"Nested deeper than {MAX_DEPTH} levels.") from error


def _respond(content: dict[str, Any]) -> Response:
    return Response(_find_encoding().write_response(content), mimetype=request.mimetype)


def _encode_status(message: str) -> bytes:
    """Return a message `google.rpc.Status` with a text, which is its field 2."""
    text = message.encode()
    length, size = bytearray(), len(text)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x12" + bytes([*length, size]) + text
