"""What may come in and what goes out: marshmallow schemas, without Flask and the database.

`json_schema` says of a kind of field, and `metadata` of one field, what the API's description
(`/openapi.json`) says of them beside what marshmallow knows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypedDict, cast

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from . import timestamps
from .config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID
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


class ListingSchema(Schema):
    """The answer to a listing."""

    count = fields.Integer(required=True, metadata={"minimum": 0})
    events = fields.List(
        fields.Nested(StoredEventSchema),
        required=True,
        metadata={"description": "Ordered by date, equal dates by arrival."},
    )


_counts = fields.Dict(
    fields.String(),
    fields.Integer(metadata={"minimum": 1}),
    required=True,
    metadata={"description": "How many events of each name, the most frequent first."},
)


def _number(description: str, minimum: int = 0) -> fields.Integer:
    return fields.Integer(required=True, metadata={"minimum": minimum, "description": description})


class BucketSchema(Schema):
    """What happened in one stretch of time, from `date` on."""

    date = Timestamp(
        required=True, metadata={"format": "date-time", "description": "Where it begins."}
    )
    count = _number("How many events it has.", minimum=1)
    names = _counts


class SummarySchema(Schema):
    """The answer to a summary."""

    count = _number("How many events there are.")
    names = _counts
    buckets = fields.List(
        fields.Nested(BucketSchema),
        required=True,
        metadata={"description": "The stretches that have events, in order of time."},
    )


class StepSchema(Schema):
    """A name of events, and the traces that start and end with it."""

    name = fields.String(required=True, metadata={"description": "The name."})
    count = _number("How many events have it.", minimum=1)
    starts = _number("How many traces start with it.")
    ends = _number("How many traces end with it.")


class TransitionSchema(Schema):
    """How often one event follows another in a trace, and the median time between the two."""

    before = fields.String(
        required=True, data_key="from", metadata={"description": "The name of the first."}
    )
    after = fields.String(
        required=True, data_key="to", metadata={"description": "The name of the next."}
    )
    count = _number("How often it follows.", minimum=1)
    median_seconds = fields.Float(
        required=True,
        metadata={"minimum": 0, "description": "The median of the seconds between the two."},
    )


class PathsSchema(Schema):
    """The answer to a question about paths."""

    count = _number("How many events there are.")
    traces = _number("How many traces they belong to.")
    names = fields.List(
        fields.Nested(StepSchema),
        required=True,
        metadata={"description": "Their names, the most frequent first."},
    )
    transitions = fields.List(
        fields.Nested(TransitionSchema),
        required=True,
        metadata={"description": "What follows what, the most frequent first."},
    )


class HealthSchema(Schema):
    """The answer of a service that works."""

    status = fields.String(required=True, metadata={"enum": ["ok"]})


class ErrorSchema(Schema):
    """The answer to a request that failed."""

    error = fields.String(required=True, metadata={"description": "What went wrong, shortly."})


class BadFieldSchema(Schema):
    """What is wrong with one field; it is named in one of three ways."""

    detail = fields.String(required=True)
    pointer = fields.String(metadata={"description": "A JSON Pointer (RFC 6901) into the body."})
    parameter = fields.String(metadata={"description": "The name of a parameter."})
    header = fields.String(metadata={"description": "The name of a header."})


class ProblemSchema(ErrorSchema):
    """The same for a client that prefers problem details (RFC 9457)."""

    type = fields.String(required=True, metadata={"format": "uri-reference"})
    title = fields.String(required=True)
    status = fields.Integer(required=True, metadata={"minimum": 400, "maximum": 599})
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(BadFieldSchema))


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
