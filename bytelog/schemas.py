"""What may come in, and in what form: marshmallow schemas, without Flask and the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from marshmallow import RAISE, Schema, ValidationError, fields

from . import timestamps
from .config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID
from .i_json import InvalidJSON, ObjectText, decode_object


class EventFields(TypedDict):
    """An event as it was accepted; `date` in UTC, `data` as the text of a JSON object."""

    id: int
    name: str
    trace_id: str
    date: datetime
    data: str


class Identifier(fields.Field[int]):
    """A JSON integer of 64 bits."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int or not MIN_ID <= value <= MAX_ID:
            raise ValidationError("Must be an integer of 64 bits.")
        return value


class Text(fields.Field[str]):
    """A short string; without NUL, at which a C program would take it to end."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not str or not 1 <= len(value) <= MAX_TEXT_LENGTH or "\0" in value:
            raise ValidationError(
                f"Must be a string of 1 to {MAX_TEXT_LENGTH} characters, not NUL."
            )
        return value


class Timestamp(fields.Field[datetime]):
    """A date in any ISO 8601 form."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            return timestamps.parse(value)
        except ValueError as error:
            raise ValidationError(f"Must be a date: {error}.") from error


class JSONObject(fields.Field[str]):
    """A JSON object, kept as its text."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not ObjectText:
            raise ValidationError("Must be a JSON object.")
        return value.text


class EventSchema(Schema):
    """The body of a new event."""

    class Meta:
        unknown = RAISE

    id = Identifier(required=True)
    name = Text(required=True)
    trace_id = Text(required=True)
    date = Timestamp(load_default=timestamps.now)
    data = JSONObject(load_default="{}")


class WindowSchema(Schema):
    """The query parameters of a listing."""

    class Meta:
        unknown = RAISE

    start = Timestamp()
    end = Timestamp()


class NoParameters(Schema):
    """The query parameters of an endpoint that has none."""

    class Meta:
        unknown = RAISE


_event_schema = EventSchema()
window_schema = WindowSchema()
no_parameters = NoParameters()


def load_event(body: bytes) -> EventFields:
    """Return the event in a request's body; raises ValidationError naming each bad field."""
    try:
        members = decode_object(body)
    except InvalidJSON as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error
    event: EventFields = _event_schema.load(members)
    return event


def load_query(schema: Schema, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the parameters of a query string; raises ValidationError naming each bad one."""
    repeated = {name: ["Given more than once."] for name, values in query.items() if values[1:]}
    if repeated:
        raise ValidationError(repeated)
    parameters: dict[str, Any] = schema.load({name: values[0] for name, values in query.items()})
    return parameters
