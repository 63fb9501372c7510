"""From messages to stored events. Each message is stored once, however often it arrives."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from flask import current_app
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from ..api import bounds, rejections
from ..api.errors import DETAIL, describe
from ..auth.keys import Grant
from ..config import MAX_BODY_BYTES
from ..events import store
from ..events.decoder import split_array
from ..events.i_json import InvalidJSON, decode_text
from ..events.keep_rules import find_oldest_by_id
from ..events.schemas import EventFields, load_event
from ..sources.mappings import SOURCES, Message, create_trace_id
from ..storage.writer import current_writer
from .requests import decode

Load = Callable[[], Message]
"""Returns a message; raises InvalidJSON, and ValidationError naming each bad field."""


class _Batch(msgspec.Struct):
    batch: msgspec.Raw


def read_text(source: str, text: bytes) -> list[Load]:
    """Return the function that reads a message of a source, in a list."""
    return [partial(_parse, source, text)]


def read_batch(source: str, body: bytes) -> list[Load]:
    """Return the functions that read the messages of a source, in the array `batch` of an object.

    Raises the exceptions of `decode` and `split_texts`.
    """
    array = bytes(decode(body, _Batch).batch)
    return [partial(_parse, source, text) for text in split_texts(array)]


def split_texts(array: bytes) -> list[bytes]:
    """Return the texts of the messages in a JSON array.

    Raises ValidationError for what is no array, or has a message above MAX_BODY_BYTES, and
    RequestEntityTooLarge for more than BYTELOG_BATCH_EVENTS messages.
    """
    if not array.startswith(b"["):
        raise ValidationError("The batch must be an array.")
    try:
        return take_texts(split_array(array))
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error


def take_texts(texts: Iterable[bytes]) -> list[bytes]:
    """Return the texts of messages; raises RequestEntityTooLarge as `split_texts` does."""
    limit = current_app.config["BYTELOG_BATCH_EVENTS"]
    # Not all elements at once: a batch of millions of digits would take a gigabyte.
    taken = list(islice(texts, limit + 1))
    check_count(len(taken))
    return taken


def check_count(number: int) -> None:
    """Raise RequestEntityTooLarge for more than BYTELOG_BATCH_EVENTS parts of a batch."""
    limit = current_app.config["BYTELOG_BATCH_EVENTS"]
    if number > limit:
        raise RequestEntityTooLarge(f"A batch may have at most {limit} events.")


def record(grant: Grant, source: str, messages: Sequence[Load], response: Response) -> Response:
    """Store the events of messages, and return the response when they are on the disk.

    Messages whose id is known in the source are left out, and so are invalid ones: SDKs drop a
    whole request that gets 400. The response and the log say which ones are invalid, and why.
    Raises ValidationError if all are, OutsideBound if the key may not record all events, and
    StorageError if nothing was stored.
    """
    if problems := record_valid(grant, source, messages):
        detail = describe(ValidationError(problems))
        rejections.note(detail, f"{response.status_code} without {len(problems)} messages")
        response.headers[DETAIL] = detail
    return response


def record_valid(grant: Grant, source: str, messages: Sequence[Load]) -> dict[int, Any]:
    """Store the events of valid messages as `record` does, and return the problems of others."""
    events, problems = _load(grant, messages)
    if problems and not events:
        raise ValidationError(problems)
    if grant.bound:
        fields = ((position, event) for position, (_, event) in events.items())
        bounds.check(grant.bound, fields, is_batch=True)
    if events:
        bound = bounds.load(grant.bound)
        store.record_messages(grant.project_id, source, [*events.values()], bound)
    return problems


def _load(
    grant: Grant, messages: Sequence[Load]
) -> tuple[dict[int, tuple[str | None, EventFields]], dict[int, Any]]:
    """Return the ids and events of valid messages, and the problems of others, by position."""
    oldest = find_oldest_by_id(grant.project_id)
    events: dict[int, tuple[str | None, EventFields]] = {}
    problems: dict[int, Any] = {}
    for position, load in enumerate(current_writer().commits.share_time(messages)):
        try:
            message = load()
            events[position] = identify(grant, message.id), load_event(message.event, oldest)
        except InvalidJSON as error:
            problems[position] = [f"Not I-JSON: {error}."]
        except ValidationError as error:
            problems[position] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return events, problems


def identify(grant: Grant, message_id: str | None) -> str | None:
    """Return the id under which a message is known, None without one."""
    # Keys with another bound must not learn of these messages, nor block them.
    return f"{grant.bound}\n{message_id}" if grant.bound and message_id else message_id


def _parse(source: str, text: bytes) -> Message:
    if len(text) > MAX_BODY_BYTES:
        raise ValidationError(f"A message may have at most {MAX_BODY_BYTES} bytes.")
    return SOURCES[source].parse(decode_text(text), create_id(), create_trace_id())


def create_id() -> int:
    """Return the `id` of an event whose message has none."""
    return secrets.randbits(63)
