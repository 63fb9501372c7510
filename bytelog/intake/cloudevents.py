"""CloudEvents 1.0 in the body of `POST /api/v1/events`: structured, batched or binary.

In binary mode the attributes are headers, and the body is the data. The header `ce-specversion`
shows that, whatever the type of the body. A batch is stored as a whole or not at all, as the other
bodies of this endpoint. (CloudEvents HTTP Protocol Binding 1.0.2)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import unquote

from flask import Flask, request
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from ..api import bounds
from ..api.body import is_array, load_each
from ..api.other_formats import formats_of
from ..auth.keys import Grant
from ..config import MAX_BODY_BYTES
from ..events import store
from ..events.decoder import split_array
from ..events.i_json import InvalidJSON, decode_text
from ..events.keep_rules import find_oldest_by_id
from ..events.schemas import EventFields, load_event
from ..sources import cloudevents
from .recording import identify

Message = tuple[str | None, EventFields]

SOURCE = "cloudevents"

_TOO_LARGE = f"A CloudEvent may have at most {MAX_BODY_BYTES} bytes in JSON."

_PREFIX = "HTTP_CE_"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_EMPTY_ARRAY = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*\][ \t\n\r]*")


def init_app(app: Flask) -> None:
    """Accept CloudEvents where the API accepts events."""
    formats = formats_of(app)
    formats.by_type["application/cloudevents+json"] = _record_one
    formats.by_type["application/cloudevents-batch+json"] = _record_batch
    formats.by_header[f"{_PREFIX}SPECVERSION"] = _record_binary


def _record_one(grant: Grant, body: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(_TOO_LARGE)
    load = _prepare_load(grant)
    _record(grant, [load(body)], is_batch=False)


def _record_binary(grant: Grant, body: bytes) -> None:
    try:
        text = cloudevents.write_json(dict(_read_attributes()), body)
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.", "data") from error
    _record_one(grant, text.encode())


def _record_batch(grant: Grant, body: bytes) -> None:
    if _EMPTY_ARRAY.fullmatch(body):
        return
    if not is_array(body):
        raise ValidationError("Must be an array of CloudEvents.")
    load = _prepare_load(grant)
    messages = load_each(partial(load, text) for text in split_array(body))
    _record(grant, messages, is_batch=True)


def _record(grant: Grant, messages: list[Message], *, is_batch: bool) -> None:
    if grant.bound:
        bounds.check(grant.bound, enumerate(event for _, event in messages), is_batch)
    store.record_messages(grant.project_id, SOURCE, messages, bounds.load(grant.bound))


def _prepare_load(grant: Grant) -> Callable[[bytes], Message]:
    """Return the function that loads CloudEvents; it raises ValidationError."""
    oldest = find_oldest_by_id(grant.project_id)

    def load(text: bytes) -> Message:
        if len(text) > MAX_BODY_BYTES:
            raise ValidationError(_TOO_LARGE)
        try:
            message = cloudevents.parse(decode_text(text))
        except InvalidJSON as error:
            raise ValidationError(f"Not I-JSON: {error}.") from error
        return identify(grant, message.id), load_event(message.event, oldest)

    return load


def _read_attributes() -> Iterator[tuple[str, str]]:
    for name, value in request.environ.items():
        if name.startswith(_PREFIX):
            attribute = name.removeprefix(_PREFIX).lower()
            yield attribute, _decode(attribute, value)
    if content_type := request.environ.get("CONTENT_TYPE"):
        yield "datacontenttype", content_type


def _decode(attribute: str, header: str) -> str:
    """Return the value of an attribute; raises ValidationError if its escapes are not UTF-8.

    (HTTP Protocol Binding section 3.1.3.2)
    """
    try:
        # WSGI passes header bytes as Latin-1 (PEP 3333), which some SDKs send as it is.
        text = header.encode("latin-1").decode()
    except UnicodeDecodeError:
        text = header
    text = _QUOTED.sub(lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), text)
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ValidationError("Must be UTF-8, percent-encoded.", attribute) from error
