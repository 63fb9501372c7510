"""What the body of a POST holds: one event, a JSON array of events, or an event a line."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flask import current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from ..config import MAX_BODY_BYTES
from ..events import schemas
from ..events.batches import TooManyEvents, load_batch, load_event
from ..events.i_json import InvalidJSON, check_members, decode_array, decode_object, decode_text
from ..events.schemas import EventFields

LINES = "application/x-ndjson"

# `fetch` calls a string text/plain unless told otherwise, and the API document's sample does not.
_JSON_TYPES = {"application/json", "text/plain"}

_LINE = re.compile(r"[^ \t\r\n][^\n]*")


class UnsupportedCoding(UnsupportedMediaType):
    """The body is packed in a way that bytelog does not know (RFC 9110 section 15.5.16)."""

    description = "Send the body as it is, or packed by gzip."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the answer, with the coding that is known."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


def read() -> bytes:
    """Return the request's body, unpacked; raises ValidationError and the HTTP error that fits."""
    kind = _media_type()
    if kind not in _JSON_TYPES and kind != LINES and not kind.endswith("+json"):
        raise UnsupportedMediaType("Send JSON, with the header `Content-Type: application/json`.")
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("gzip", "x-gzip", "identity"):
        raise UnsupportedCoding
    body = request.get_data(cache=False)
    return body if coding == "identity" else _unpack(body)


def events(body: bytes) -> list[EventFields]:
    """Return the events in a body; raises ValidationError naming each bad field of each event.

    Raises RequestEntityTooLarge for a body that holds more than the limits allow.
    """
    try:
        text = decode_text(body)
        if _media_type() == LINES:
            return _batch(
                partial(load_event, it, partial(decode_object, it)) for it in _lines(text)
            )
        if text.lstrip(" \t\n\r").startswith("["):
            values = decode_array(text)
            return _batch(
                partial(load_event, it, partial(check_members, value, it)) for value, it in values
            )
        if len(body) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"An event may have {MAX_BODY_BYTES} bytes.")
        return [schemas.load_event(decode_object(text))]
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error


def _batch(batch: Iterator[Callable[[], EventFields]]) -> list[EventFields]:
    try:
        return load_batch(batch, current_app.config["BYTELOG_BATCH_EVENTS"])
    except TooManyEvents as error:
        raise RequestEntityTooLarge(str(error)) from error


def _media_type() -> str:
    kind: str = request.environ.get("CONTENT_TYPE", "")
    return kind.partition(";")[0].strip().lower()


def _unpack(body: bytes) -> bytes:
    limit = current_app.config["BYTELOG_BATCH_BYTES"]
    packed = zlib.decompressobj(wbits=31)
    try:
        unpacked = packed.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValidationError(f"Not gzip: {error}.") from error
    if len(unpacked) > limit:
        raise RequestEntityTooLarge(f"A batch may have {limit} bytes, unpacked.")
    if not packed.eof or packed.unused_data:
        raise ValidationError("Not gzip: it ends early, or something follows it.")
    return unpacked


def _lines(text: str) -> Iterator[str]:
    return (match[0] for match in _LINE.finditer(text))
