"""`/openapi.json`: the API's description in OpenAPI 3.1, generated from the schemas.

A new field or parameter of a schema appears in it automatically. A new endpoint needs an entry in
`operations.py`, under the name of its view.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint, Flask, current_app, request
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from ..config import MAX_BODY_BYTES
from . import operations, response_schemas
from .errors import DETAIL, MAX_DETAIL_LENGTH, PROBLEM
from .operation_parts import JSON, TAGS, name_response

if TYPE_CHECKING:
    from apispec import APISpec

blueprint = Blueprint("openapi", __name__)

_DESCRIPTION = """\
Applications post business events; people and programs read them by date, or follow one trace id
through the business logic.

Every error is `{"error": "<short text>"}`, or, for a client that sends
`Accept: application/problem+json`, a problem of RFC 9457. The response to a method that a path does
not support is 405 with `Allow`.
"""
_INFO = {
    "description": _DESCRIPTION,
    "contact": {"name": "The bytelog developers"},
    "license": {"name": "MIT", "identifier": "MIT"},
}

_ERRORS = {
    400: "A field, a parameter or a header is missing, unknown or invalid.",
    401: "The API key is missing, malformed, unknown, expired or revoked.",
    403: "The API key lacks the scope that the request needs, or may not record these events.",
    404: "The path ends before the trace id.",
    409: "The first request with this `Idempotency-Key` is still in progress; try again.",
    410: "The event of the cursor was lost when a backup was restored.",
    413: f"The body is larger than {MAX_BODY_BYTES} bytes, or a batch exceeds its limits.",
    415: "The `Content-Type` is not JSON, or the `Content-Encoding` is not gzip.",
    422: "This `Idempotency-Key` was used with another body.",
    429: "The API key has reached its rate limit; try again later.",
    503: "The database is busy or failed, too many long reads are in progress, or a read took too "
    "long; try again.",
    507: "The server's disk is full; nothing was stored.",
}

_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of a project. Its scopes say what it may do. HTTP Basic is accepted "
    "too: the key as the password, or as the user name with an empty password.",
}
_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "The key that is required, and what is wrong with the one sent (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    }
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "The seconds to wait before trying again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_DETAIL_HEADER = {
    DETAIL: {
        "description": "What is wrong, in printable ASCII; everything else is percent-encoded.",
        "schema": {"type": "string", "maxLength": MAX_DETAIL_LENGTH},
    }
}
_HEADERS = {401: _CHALLENGE, 403: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}


def init_app(app: Flask) -> None:
    """Add the endpoint to the application."""
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def describe_api() -> Response:
    """Send the document; its server is the prefix under which it was requested."""
    servers = {"servers": [{"url": request.script_root or "/"}]}
    return Response(json.dumps(document(current_app) | servers), mimetype=JSON)


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of an application's endpoints, without its servers.

    It is built by the first call; callers must not change it.
    """
    if "bytelog.openapi" not in app.extensions:
        app.extensions["bytelog.openapi"] = _build_document(app)
    return cast("dict[str, Any]", app.extensions["bytelog.openapi"])


def _build_document(app: Flask) -> dict[str, Any]:
    spec = _create_specification()
    operations_by_view = operations.operations_by_view()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in operations_by_view:
            name = {"operationId": rule.endpoint.rpartition(".")[2]}
            # Flask adds these two to every path with GET.
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            operation = name | _mention_scope(operations_by_view[rule.endpoint])
            spec.path(path, operations=dict.fromkeys(map(str.lower, methods), operation))
    return spec.to_dict()


def _mention_scope(operation: dict[str, Any]) -> dict[str, Any]:
    if "x-scope" not in operation:
        return operation
    scope = f"Requires a key with the scope `{operation['x-scope']}`."
    return operation | {"description": f"{operation['description']} {scope}"}


def _create_specification() -> APISpec:
    # Imported here to keep startup fast: few servers ever serve the document.
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin

    plugin: Any = MarshmallowPlugin()
    spec = APISpec("bytelog", "1", "3.1.0", [plugin], info=_INFO, tags=TAGS)
    plugin.converter.add_attribute_function(_get_json_schema)
    spec.components.security_scheme("key", _KEY)
    for status in _ERRORS:
        spec.components.response(name_response(status), _describe_error(status))
    return spec


def _get_json_schema(_: object, field: object, ret: dict[str, Any]) -> dict[str, Any]:
    # The metadata of a field overrides the schema of its class.
    return getattr(field, "json_schema", {}) | ret


def _describe_error(status: int) -> dict[str, Any]:
    title = HTTP_STATUS_CODES[status]
    short = {"error": "validation error" if status == 400 else title.lower()}
    problem = {"type": "about:blank", "title": title, "status": status, "detail": _ERRORS[status]}
    return {
        "description": _ERRORS[status],
        "headers": _DETAIL_HEADER | _HEADERS.get(status, {}),
        "content": {
            JSON: {"schema": response_schemas.ErrorSchema, "example": short},
            PROBLEM: {"schema": response_schemas.ProblemSchema, "example": problem | short},
        },
    }
