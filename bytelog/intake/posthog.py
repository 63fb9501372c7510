"""PostHog's capture API, which its SDKs use. bytelog has no feature flags: it reports none.

(https://posthog.com/docs/api/capture)
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth.keys import Grant
from .recording import read_batch, record
from .requests import decode, shape_errors, takes_messages

MAX_BATCH_BYTES = 6 * 1024 * 1024
"""Maximum size of a batch. The SDK for Python sends a batch when it exceeds 5 MiB, and its last
event has up to 900 KiB; others send less."""

blueprint = Blueprint("posthog", __name__)


class _Key(msgspec.Struct):
    api_key: str = ""


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


def _read_key(body: bytes) -> str:
    return decode(body, _Key).api_key


@blueprint.post("/batch/", strict_slashes=False)
@takes_messages(_read_key, MAX_BATCH_BYTES)
def record_batch(grant: Grant, body: bytes) -> Response:
    """Store the messages of a batch."""
    messages = read_batch("posthog", body)
    response = Response('{"status": 1}', mimetype="application/json")
    return record(grant, "posthog", messages, response)


@blueprint.post("/flags/", strict_slashes=False)
@takes_messages(_read_key, MAX_BATCH_BYTES)
def list_flags(grant: Grant, body: bytes) -> Response:
    """Send no feature flags."""
    return Response("{}", mimetype="application/json")


def _build_error(status: int, name: str, detail: str) -> dict[str, Any]:
    # The SDK for Python reads `detail`.
    kinds = {400: "validation_error", 401: "authentication_error", 403: "authentication_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request")
    return {"type": kind, "code": name.replace(" ", "_"), "detail": detail, "attr": None}


shape_errors(blueprint, _build_error)
