"""The parameters of a query: which events are asked for, in which order and how many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, NoReturn, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields

from ..config import MAX_ID, MAX_LIMIT, MAX_MEMBER_DEPTH, MAX_MEMBERS, MAX_WAIT_SECONDS, MIN_ID
from ..events.schemas import Text, Timestamp
from ..queries.selection import CURSOR_PATTERN, Bucket, Cursor, Selection, parse_cursor
from ..storage.keyset import Order

MEMBER = "data."
"""What the parameters start with that ask for a value of a member of `data`."""

MEMBER_PATTERN = rf'^data(\.[^."\u0000]+){{1,{MAX_MEMBER_DEPTH}}}$'
"""What such a parameter's name looks like."""

C = TypeVar("C", bound=StrEnum)

_DIGITS = re.compile(r"-?\d{1,19}", re.ASCII)


class IntegerField(fields.Field[int]):
    """A whole number within bounds, in decimal digits."""

    def __init__(self, lowest: int, highest: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._bounds = lowest, highest
        self.json_schema = {"type": "integer", "minimum": lowest, "maximum": highest}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        lowest, highest = self._bounds
        number = int(value) if _DIGITS.fullmatch(value) else None
        if number is None or not lowest <= number <= highest:
            raise ValidationError(f"Must be a whole number from {lowest} to {highest}.")
        return number


class CursorField(fields.Field[Cursor]):
    """A cursor, as a `Link` header gave it, or `end`."""

    json_schema: ClassVar = {"type": "string", "pattern": CURSOR_PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Cursor:
        try:
            return parse_cursor(value)
        except ValueError as error:
            raise ValidationError(f"Must be a cursor: {error}.") from error


class EnumField(fields.Field[C]):
    """One of a few names."""

    def __init__(self, choices: type[C], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._choices = choices
        self.json_schema = {"type": "string", "enum": list(choices)}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> C:
        try:
            return self._choices(value)
        except ValueError as error:
            raise ValidationError(f"Must be one of {', '.join(self._choices)}.") from error


def _describe(text: str, **metadata: Any) -> dict[str, Any]:
    return {"description": text, **metadata}


class InvalidParameters(ValidationError):
    """Parameters of the query or the path are not valid."""


class FilterParameters(Schema):
    """The parameters that every question about events takes."""

    class Meta:
        unknown = RAISE

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        """Raise InvalidParameters; marshmallow calls this when loading fails."""
        raise InvalidParameters(error.messages) from error

    start = Timestamp(
        metadata=_describe("Only events from this day, or moment, on.", examples=["2021-08-15"])
    )
    end = Timestamp(
        metadata=_describe("Only events before this day, or moment.", examples=["2021-08-16"])
    )
    id = IntegerField(MIN_ID, MAX_ID, metadata=_describe("Only events with this `id`."))
    name = Text(metadata=_describe("Only events with this name."))


class TraceParameters(FilterParameters):
    """The parameters of a question about a trace."""

    order = EnumField(
        Order,
        load_default=Order.DATE,
        metadata=_describe(
            "By date; by date with the newest first; or as they arrived. Equal dates by arrival.",
            default="date",
        ),
    )
    limit = IntegerField(1, MAX_LIMIT, metadata=_describe("As many events at most; else all."))
    cursor = CursorField(
        metadata=_describe(
            "Go on here: `cursor` of the `Link` of the last answer. With `order=arrival`, `end` is "
            "after all that has arrived."
        )
    )
    wait = IntegerField(
        0,
        MAX_WAIT_SECONDS,
        load_default=0,
        metadata=_describe("Seconds to wait for an event if there is none."),
    )


class PathsParameters(FilterParameters):
    """The parameters of a question about paths."""

    trace_id = Text(metadata=_describe("Only events of this trace."))


class SummaryParameters(PathsParameters):
    """The parameters of a summary."""

    bucket = EnumField(
        Bucket,
        load_default=Bucket.DAY,
        metadata=_describe("The stretches of time that are counted.", default="day"),
    )


class ListingParameters(TraceParameters):
    """The parameters of a listing."""

    trace_id = Text(metadata=_describe("Only events of this trace."))


listing = ListingParameters()
trace = TraceParameters()
summary = SummaryParameters()
paths = PathsParameters()


def load_selection(
    schema: Schema, query: Mapping[str, list[str]], project_id: int, **path: Any
) -> Selection:
    """Return the events asked for; raises InvalidParameters naming each bad one."""
    plain, members = _load(schema, query)
    return Selection(project_id, data=members, **path, **plain)


def load_summary(query: Mapping[str, list[str]], project_id: int) -> tuple[Selection, Bucket]:
    """Return the events asked for, and how to count them; raises InvalidParameters."""
    plain, members = _load(summary, query)
    bucket = plain.pop("bucket")
    return Selection(project_id, data=members, **plain), bucket


def _load(schema: Schema, query: Mapping[str, list[str]]) -> tuple[dict[str, Any], dict[str, str]]:
    if not query:
        return _load_defaults(schema).copy(), {}
    problems = {name: ["Given more than once."] for name, values in query.items() if values[1:]}
    data = {name: values[0] for name, values in query.items() if name.startswith(MEMBER)}
    problems |= {name: [_MEMBERS] for name in data if not _is_member(name)}
    if len(data) > MAX_MEMBERS:
        problems |= {MEMBER: [f"Must be {MAX_MEMBERS} members at most."]}
    if problems:
        raise InvalidParameters(problems)
    plain = schema.load({name: values[0] for name, values in query.items() if name not in data})
    return plain, {name.removeprefix(MEMBER): value for name, value in data.items()}


@lru_cache
def _load_defaults(schema: Schema) -> dict[str, Any]:
    loaded: dict[str, Any] = schema.load({})
    return loaded


_MEMBERS = (
    f'Must name a member, without `"` and NUL; nested ones, {MAX_MEMBER_DEPTH} at most, are joined '
    "by dots."
)


def _is_member(name: str) -> bool:
    return re.fullmatch(MEMBER_PATTERN, name) is not None
