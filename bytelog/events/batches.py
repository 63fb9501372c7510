"""Batches: many events that are recorded together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from marshmallow import ValidationError

from ..config import MAX_BODY_BYTES, MAX_REPORTED_ERRORS
from . import schemas
from .i_json import InvalidJSON
from .keep_rules import OldestDates
from .schemas import EventFields

T = TypeVar("T")


class TooManyEvents(Exception):
    """A batch has more events than the limit, which the message names."""


def load_batch(batch: Iterator[Callable[[], T]], limit: int) -> list[T]:
    """Return the events of a batch, as the functions in it load them.

    Raises TooManyEvents, and ValidationError naming the bad fields of each event, at most
    MAX_REPORTED_ERRORS.
    """
    events: list[T] = []
    errors: dict[int, Any] = {}
    try:
        for index, load in enumerate(batch):
            if index == limit:
                raise TooManyEvents(f"A batch may have at most {limit} events.")
            try:
                events.append(load())
            except ValidationError as error:
                errors[index] = error.normalized_messages()  # type: ignore[no-untyped-call]
                if sum(map(len, errors.values())) >= MAX_REPORTED_ERRORS:
                    break
    except InvalidJSON as error:
        errors[len(events) + len(errors)] = [f"Not I-JSON: {error}."]
    if errors or not events:
        raise ValidationError(errors or "A batch must have at least one event.")
    return events


def load_event(text: bytes, oldest: OldestDates | None = None) -> EventFields:
    """Return an event of a batch; raises ValidationError naming each bad field."""
    if len(text) > MAX_BODY_BYTES:
        raise ValidationError(f"An event may have at most {MAX_BODY_BYTES} bytes.")
    try:
        return schemas.load_text(text, oldest)
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error
