"""Seq's HTTP API for ingestion, which Serilog and the loggers for Seq use.

The body is CLEF, one event per line, or an object with `Events`. Events have no ids, so each is
stored at least once: a logger that gets no response sends it again.
(https://datalust.co/docs/posting-raw-events)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from flask import Blueprint, Flask, request
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from ..api.body import split_lines
from ..auth.keys import Grant
from ..config import MAX_BODY_BYTES
from ..events.i_json import decode_text
from ..sources import seq
from ..sources.mappings import Message, Source
from .recording import record, split_texts, take_texts
from .requests import decode, shape_errors, takes_bodies

CLEF = "application/vnd.serilog.clef"

KEY_HEADER, KEY_PARAMETER = "X-Seq-ApiKey", "apiKey"

# seq-logging writes this before version 1, and Seq accepts it.
_BARE = b"{Events:"

blueprint = Blueprint("seq", __name__)


class _Batch(msgspec.Struct):
    events: msgspec.Raw = msgspec.field(name="Events")


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.register_blueprint(blueprint)


def _find_key() -> str:
    # WSGI passes header bytes as Latin-1 (PEP 3333).
    key = request.headers.get(KEY_HEADER, "").encode("latin-1").decode("utf-8", "replace")
    return key or request.args.get(KEY_PARAMETER, "")


@blueprint.post("/api/events/raw")
@takes_bodies(_find_key)
def record_raw(grant: Grant, body: bytes) -> Response:
    """Store events in either form."""
    if request.mimetype == CLEF or "clef" in request.args:
        return _record(grant, seq.CLEF, _split_events(body))
    if body.startswith(_BARE):
        body = b'{"Events":' + body.removeprefix(_BARE)
    return _record(grant, seq.RAW, split_texts(bytes(decode(body, _Batch).events)))


@blueprint.post("/ingest/clef")
@takes_bodies(_find_key)
def record_clef(grant: Grant, body: bytes) -> Response:
    """Store events in CLEF."""
    return _record(grant, seq.CLEF, _split_events(body))


def _split_events(body: bytes) -> list[bytes]:
    if request.mimetype == "application/json":
        # One event, which may have several lines; some loggers send lines under this type too.
        try:
            return [bytes(msgspec.json.decode(body, type=msgspec.Raw))]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            pass
    return take_texts(split_lines(body))


def _record(grant: Grant, source: Source, texts: Sequence[bytes]) -> Response:
    response = Response('{"MinimumLevelAccepted": null}', 201, mimetype="application/json")
    return record(grant, "seq", [partial(_read, source, text) for text in texts], response)


def _read(source: Source, text: bytes) -> Message:
    if len(text) > MAX_BODY_BYTES:
        raise ValidationError(f"An event may have at most {MAX_BODY_BYTES} bytes.")
    return seq.parse(source, decode_text(text))


shape_errors(blueprint, lambda _, __, detail: {"Error": detail})
