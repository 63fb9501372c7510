"""The body of a POST: one event, a JSON array of events, or one event per line."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from ..config import MAX_BODY_BYTES
from ..events import schemas
from ..events.batches import TooManyEvents, load_batch, load_event
from ..events.decoder import split_array
from ..events.i_json import InvalidJSON
from ..events.keep_rules import find_oldest_by_id
from ..events.schemas import EventFields
from ..queries.formats import LINES_BY_TYPE
from ..storage.writer import current_writer
from .other_formats import Recorder, find_recorder

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

T = TypeVar("T")

MAX_GZIP_MEMBERS = 1000
"""Members of one compressed body: tools start one every 64 KB at most, and each costs time."""

GZIP_SLICE_BYTES = 256 * 1024
"""Bytes decompressed at a time."""

# `fetch` sends a string as text/plain unless the caller sets another type.
_KNOWN_TYPES = {"application/json", "text/plain", *LINES_BY_TYPE}

_LINE = re.compile(rb"[^ \t\r\n][^\n]*")
_ARRAY_START = re.compile(rb"[ \t\n\r]*\[")


class UnsupportedCoding(UnsupportedMediaType):
    """The body has a content coding that bytelog does not support (RFC 9110 section 15.5.16)."""

    description = "Send the body uncompressed, or compressed with gzip."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the response; `Accept-Encoding` names the supported coding."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


def read_body() -> tuple[bytes, Recorder | None]:
    """Return the request's body, decompressed, and what stores it if its format is not bytelog's.

    Raises the exceptions of `check_headers`, RequestEntityTooLarge for more than
    BYTELOG_BATCH_BYTES, and ValidationError for invalid gzip.
    """
    recorder = check_headers()
    return _receive(current_app.config["BYTELOG_BATCH_BYTES"]), recorder


def receive_body(limit: int) -> bytes:
    """Return the request's body of any type, decompressed.

    Raises the exceptions of `check_length`, RequestEntityTooLarge for more than `limit` bytes, and
    ValidationError for invalid gzip.
    """
    check_length(limit)
    return _receive(limit)


def check_headers() -> Recorder | None:
    """Check the headers that describe the body; return what stores it as `read_body` does.

    Raises UnsupportedMediaType for a type or coding that is not supported, and
    RequestEntityTooLarge for a length above BYTELOG_BATCH_BYTES.
    """
    environ = request.environ
    media_type = _read_media_type(environ)
    recorder = find_recorder(environ, media_type)
    if not recorder and media_type not in _KNOWN_TYPES and not _is_json(media_type):
        raise UnsupportedMediaType("Send JSON, with the header `Content-Type: application/json`.")
    check_length(current_app.config["BYTELOG_BATCH_BYTES"])
    return recorder


def check_length(limit: int) -> None:
    """Check the headers that describe how long the body is.

    Raises UnsupportedMediaType for a coding that is not supported, and RequestEntityTooLarge for a
    length above the limit.
    """
    _is_compressed()
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge(f"A batch may have at most {limit} bytes.")


def load_events(body: bytes, project_id: int) -> list[EventFields]:
    """Return the events in a body, which are for a project.

    Raises ValidationError, which names each bad field of each event, and RequestEntityTooLarge for
    a single event over MAX_BODY_BYTES, and for a batch with more than BYTELOG_BATCH_EVENTS.
    """
    try:
        oldest = find_oldest_by_id(project_id)
        if _read_media_type(request.environ) in LINES_BY_TYPE:
            return load_each(partial(load_event, line, oldest) for line in split_lines(body))
        if is_array(body):
            return load_each(partial(load_event, text, oldest) for text in split_array(body))
        if len(body) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"An event may have at most {MAX_BODY_BYTES} bytes.")
        return [schemas.load_text(body, oldest)]
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error


def is_batch(body: bytes) -> bool:
    """Return whether a body is a batch: lines, or an array."""
    return _read_media_type(request.environ) in LINES_BY_TYPE or is_array(body)


def is_array(body: bytes) -> bool:
    """Return whether the JSON in a body is an array, by its first character."""
    return _ARRAY_START.match(body) is not None


def split_lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a body that are not blank, without white space before them."""
    return (match[0] for match in _LINE.finditer(body))


def load_each(batch: Iterator[Callable[[], T]]) -> list[T]:
    """Return what the functions of a batch load, as `load_batch` does.

    Raises ValidationError, and RequestEntityTooLarge for more than BYTELOG_BATCH_EVENTS.
    """
    try:
        return load_batch(
            current_writer().commits.share_time(batch), current_app.config["BYTELOG_BATCH_EVENTS"]
        )
    except TooManyEvents as error:
        raise RequestEntityTooLarge(str(error)) from error


def _read_media_type(environ: WSGIEnvironment) -> str:
    content_type: str = environ.get("CONTENT_TYPE", "")
    return content_type.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    # A CloudEvent is JSON, but no event of ours: it is refused where CloudEvents are off.
    return media_type.endswith("+json") and not media_type.startswith("application/cloudevents")


def _receive(limit: int) -> bytes:
    body = request.get_data(cache=False)
    return _decompress(body, limit) if _is_compressed() else body


def _is_compressed() -> bool:
    header = request.environ.get("HTTP_CONTENT_ENCODING")
    if header is None:
        return False
    # A list, whose empty elements do not count (RFC 9110 section 5.6.1.2).
    codings = [coding.strip(" \t").lower() for coding in header.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if codings not in ([], ["gzip"], ["x-gzip"]):
        raise UnsupportedCoding
    return bool(codings)


def _decompress(body: bytes, limit: int) -> bytes:
    try:
        return b"".join(_decompress_members(body, limit))
    except zlib.error as error:
        raise ValidationError(f"Not gzip: {error}.") from error


def _decompress_members(body: bytes, limit: int) -> Iterator[bytes]:
    # A gzip file may have several members, one after the other (RFC 1952 section 2.2).
    position, size = 0, 0
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            # zlib copies what follows a member, so it gets the body in slices.
            compressed = body[position : position + GZIP_SLICE_BYTES]
            if not compressed:
                raise ValidationError("Not gzip: the data ends early, or something follows it.")
            content = member.decompress(compressed, limit + 1 - size)
            size += len(content)
            if size > limit:
                raise RequestEntityTooLarge(
                    f"A batch may have at most {limit} bytes, decompressed."
                )
            yield content
            position += len(compressed) - len(member.unused_data)
        if position == len(body):
            return
    raise ValidationError(f"gzip data may have at most {MAX_GZIP_MEMBERS} members.")
