"""Segment's HTTP Tracking API, which the SDKs of Segment and RudderStack use.

As with Segment, a request gets 400 if its JSON is invalid, and otherwise 200, whatever becomes of
its messages: only if all of them are invalid, it gets 400 too, since nothing else is lost by that.
(https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/)
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Flask
from werkzeug.wrappers import Response

from ..auth.keys import Grant
from .recording import read_batch, read_text, record
from .requests import decode, shape_errors, takes_messages

MAX_BATCH_BYTES = 500 * 1024
"""Maximum size of a batch whose key is in its body; Segment's API accepts no larger ones."""

CALLS = ("track", "identify", "page", "screen", "group", "alias")
"""The paths for one message. analytics.js uses their first letters."""

blueprint = Blueprint("segment", __name__, url_prefix="/v1")


class _Key(msgspec.Struct):
    value: str = msgspec.field(name="writeKey", default="")


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


def _read_key(body: bytes) -> str:
    return decode(body, _Key).value


@blueprint.post("/b")
@blueprint.post("/batch")
@takes_messages(_read_key, MAX_BATCH_BYTES)
def record_batch(grant: Grant, body: bytes) -> Response:
    """Store the messages of a batch."""
    messages = read_batch("segment", body)
    return record(grant, "segment", messages, _succeed())


@takes_messages(_read_key, MAX_BATCH_BYTES)
def record_message(grant: Grant, body: bytes) -> Response:
    """Store a message."""
    return record(grant, "segment", read_text("segment", body), _succeed())


def _succeed() -> Response:
    return Response('{"success": true}', mimetype="application/json")


def _build_error(_: int, name: str, detail: str) -> dict[str, Any]:
    # The SDKs for Python read `code` and `message`.
    return {"error": name, "code": name.replace(" ", "_"), "message": detail}


for _path in sorted({path for call in CALLS for path in (call, call[0])}):
    blueprint.add_url_rule(f"/{_path}", view_func=record_message, methods=["POST"])
shape_errors(blueprint, _build_error)
