"""What may come in and what goes out: marshmallow schemas, without Flask and the database.

`json_schema` says of a kind of field, and `metadata` of one field, what the API's description
(`/openapi.json`) says of them beside what marshmallow knows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypedDict, cast

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from .. import timestamps
from ..config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID
from .i_json import ObjectText


class EventFields(TypedDict):
    """An event as it was accepted; `date` in UTC, `data` as the text of a JSON object."""

    id: int
    name: str
    trace_id: str
    date: datetime
    data: str


class Identifier(fields.Field[int]):
    """A JSON integer of 64 bits."""

    json_schema: ClassVar = {
        "type": "integer",
        "format": "int64",
        "minimum": MIN_ID,
        "maximum": MAX_ID,
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int or not MIN_ID <= value <= MAX_ID:
            raise ValidationError("Must be an integer of 64 bits.")
        return value


class Text(fields.Field[str]):
    """A short string; without NUL, at which a C program would take it to end."""

    json_schema: ClassVar = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_TEXT_LENGTH,
        "pattern": r"^[^\u0000]*$",
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not str or not 1 <= len(value) <= MAX_TEXT_LENGTH or "\0" in value:
            raise ValidationError(
                f"Must be a string of 1 to {MAX_TEXT_LENGTH} characters, not NUL."
            )
        return value


class Timestamp(fields.Field[datetime]):
    """A date in any ISO 8601 form."""

    json_schema: ClassVar = {"type": "string", "pattern": timestamps.PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            return timestamps.parse(value)
        except ValueError as error:
            raise ValidationError(f"Must be a date: {error}.") from error


class JSONObject(fields.Field[str]):
    """A JSON object, kept as its text."""

    json_schema: ClassVar = {"type": "object"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not ObjectText:
            raise ValidationError("Must be a JSON object.")
        return value.text


class EventSchema(Schema):
    """The body of a new event."""

    class Meta:
        unknown = RAISE

    id = Identifier(required=True, metadata={"description": "Yours; it need not be unique."})
    name = Text(required=True, metadata={"description": "What happened, in a word or two."})
    trace_id = Text(
        required=True, metadata={"description": "Shared by the events that are connected."}
    )
    date = Timestamp(
        load_default=timestamps.now,
        metadata={
            "description": "Any ISO 8601 form; UTC without a zone. The server's time if absent.",
        },
    )
    data = JSONObject(
        load_default="{}",
        metadata={"default": {}, "description": "Any JSON object, kept as it was written."},
    )


class StoredEventSchema(EventSchema):
    """An event as it comes back."""

    date = Timestamp(
        required=True,
        metadata={
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
            "description": "In UTC, to the millisecond.",
        },
    )
    data = JSONObject(required=True, metadata={"description": "As it was written."})


_event_schema = EventSchema()
_event_fields = tuple(_event_schema.fields.items())


def load_event(members: dict[str, Any]) -> EventFields:
    """Return the event with these members; raises ValidationError naming each bad field."""
    try:
        event = {
            name: field.deserialize(members.get(name, missing), name, members)
            for name, field in _event_fields
        }
    except ValidationError:
        event = {}
    # Gathering what is wrong with every field takes longer than reading them, so it waits.
    if not event or not members.keys() <= event.keys():
        event = _event_schema.load(members)
    return cast("EventFields", event)
