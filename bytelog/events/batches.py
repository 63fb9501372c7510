"""Batches: many events, recorded together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from marshmallow import ValidationError

from ..config import MAX_BODY_BYTES, MAX_REPORTED_ERRORS
from . import schemas
from .i_json import InvalidJSON
from .schemas import EventFields


class TooManyEvents(Exception):
    """A batch has more events than it may; the message says how many those are."""


def load_batch(batch: Iterator[Callable[[], EventFields]], limit: int) -> list[EventFields]:
    """Return the events of a batch; raises ValidationError naming each bad field of each event.

    Raises TooManyEvents for more than `limit`.
    """
    loaded: list[EventFields] = []
    problems: dict[int, Any] = {}
    index = 0
    try:
        for index, load in enumerate(batch, 1):
            if index > limit:
                raise TooManyEvents(f"A batch may have {limit} events.")
            try:
                loaded.append(load())
            except ValidationError as error:
                problems[index - 1] = error.normalized_messages()  # type: ignore[no-untyped-call]
            if sum(map(len, problems.values())) >= MAX_REPORTED_ERRORS:
                break
    except InvalidJSON as error:
        problems[index] = [f"Not I-JSON: {error}."]
    if problems or not loaded:
        raise ValidationError(problems or "A batch has one event at least.")
    return loaded


def load_event(text: str, decoded: Callable[[], dict[str, Any]]) -> EventFields:
    """Return an event of a batch; raises ValidationError naming each bad field."""
    if len(text) > MAX_BODY_BYTES // 4 and len(text.encode()) > MAX_BODY_BYTES:
        raise ValidationError(f"An event may have {MAX_BODY_BYTES} bytes.")
    try:
        return schemas.load_event(decoded())
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error
