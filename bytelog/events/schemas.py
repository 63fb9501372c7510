"""The marshmallow schemas of an event, independent of Flask and the database.

`json_schema` of a field's class and `metadata` of a field add to the API's description
(`/openapi.json`) what marshmallow cannot derive.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from .. import timestamps
from ..config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID
from .decoder import decode_event
from .i_json import ObjectText, decode_object, decode_text
from .keep_rules import OldestDates

INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
"""An integer in decimal digits, few enough for 64 bits; it may still be out of bounds."""


class EventFields(NamedTuple):
    """The fields of a valid event; `date` and `data` are text, as they are stored."""

    id: int
    name: str
    trace_id: str
    date: str
    data: str


class Identifier(fields.Field[int]):
    """A JSON integer of at most 64 bits."""

    json_schema: ClassVar = {
        "type": "integer",
        "format": "int64",
        "minimum": MIN_ID,
        "maximum": MAX_ID,
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int or not MIN_ID <= value <= MAX_ID:
            raise ValidationError("Must be a 64-bit integer.")
        return value


class Text(fields.Field[str]):
    """A short string without NUL, which terminates a string in C."""

    json_schema: ClassVar = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_TEXT_LENGTH,
        "pattern": r"^[^\u0000]*$",
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not str or not 1 <= len(value) <= MAX_TEXT_LENGTH or "\0" in value:
            raise ValidationError(
                f"Must be a string of 1 to {MAX_TEXT_LENGTH} characters, without NUL."
            )
        return value


class Timestamp(fields.Field[datetime]):
    """A date in any ISO 8601 format."""

    json_schema: ClassVar = {"type": "string", "pattern": timestamps.PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            return timestamps.parse(value)
        except ValueError as error:
            raise ValidationError(f"Must be a date: {error}.") from error


class JSONObject(fields.Field[str]):
    """A JSON object, loaded as its text."""

    json_schema: ClassVar = {"type": "object", "additionalProperties": True}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not ObjectText:
            raise ValidationError("Must be a JSON object.")
        return value.text


class NewEventSchema(Schema):
    """The body of a new event."""

    class Meta:
        unknown = RAISE

    id = Identifier(
        required=True,
        metadata={"description": "Your own identifier. It need not be unique."},
    )
    name = Text(required=True, metadata={"description": "What happened, in one or two words."})
    trace_id = Text(
        required=True, metadata={"description": "The same for all events that belong together."}
    )
    date = Timestamp(
        load_default=timestamps.now,
        metadata={
            "description": "Any ISO 8601 format; UTC without a zone. The server's time by default.",
        },
    )
    data = JSONObject(
        # A function, which is no `default` in the description: generators require a field with one.
        load_default=lambda: "{}",
        metadata={
            "description": "Any JSON object. It is stored as it was written. An empty one by "
            "default.",
        },
    )


class EventSchema(NewEventSchema):
    """An event in a response."""

    date = Timestamp(
        required=True,
        metadata={
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
            "description": "In UTC, to the millisecond.",
        },
    )
    data = JSONObject(required=True, metadata={"description": "As it was written."})


class EventLoader:
    """Loads events by a schema, without marshmallow's overhead as long as they are valid.

    Most texts are decoded without the schema, unless it has hooks or other fields.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        # Only `Schema.load` runs hooks such as `@validates_schema`.
        has_hooks = any(schema._hooks.values())  # noqa: SLF001
        self._fields = () if has_hooks else tuple(schema.fields.items())
        self._is_plain = tuple(name for name, _ in self._fields) == EventFields._fields

    def load_text(self, text: bytes, oldest: OldestDates | None = None) -> EventFields:
        """Return the event in a JSON text; raises InvalidJSON, and ValidationError as `load`."""
        fields = decode_event(text) if self._is_plain else None
        if fields is None or (oldest and fields[3] < oldest.find(fields[1])):
            return self.load(decode_object(decode_text(text)), oldest)
        return EventFields(*fields)

    def load(self, members: dict[str, Any], oldest: OldestDates | None = None) -> EventFields:
        """Return the event with these members; raises ValidationError naming each bad field.

        Retention would delete an event from before its `oldest` date at once, so it is invalid.
        """
        try:
            event = {
                name: field.deserialize(members.get(name, missing), name, members)
                for name, field in self._fields
            }
        except ValidationError:
            event = {}
        if not event or not members.keys() <= event.keys():
            event = self._schema.load(members)  # Collects the errors of all fields.
        date = timestamps.format_utc(event["date"])
        if oldest and date < (limit := oldest.find(event["name"])):
            problem = f"Must not be before {limit}: older events are deleted."
            raise ValidationError({"date": [problem]})
        return EventFields(**{**event, "date": date})


_loader = EventLoader(NewEventSchema())

load_event = _loader.load
"""Return the event with these members; raises ValidationError naming each bad field."""

load_text = _loader.load_text
"""Return the event in a JSON text; raises InvalidJSON, and ValidationError as `load_event`."""
