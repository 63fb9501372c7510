"""The query parameters of a request: which events to return, in which order and how many."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, NoReturn, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, post_load

from ..config import MAX_ID, MAX_LIMIT, MAX_MEMBER_DEPTH, MAX_MEMBERS, MAX_WAIT_SECONDS, MIN_ID
from ..events.schemas import INTEGER, Text, Timestamp
from ..queries.selection import Bucket, Selection
from ..storage.keyset import Order
from .cursors import CURSOR_PATTERN, parse_cursor

MEMBER_PREFIX = "data."
"""The start of each parameter that filters by a member of `data`."""

MEMBER_PATTERN = rf'^data(\.[^."\u0000]+){{1,{MAX_MEMBER_DEPTH}}}$'
"""The pattern of such a parameter's name."""

_MEMBER_RULE = (
    'Must name a member of `data`, without `"` and NUL; join the names of nested members by dots, '
    f"{MAX_MEMBER_DEPTH} at most."
)

C = TypeVar("C", bound=StrEnum)


class IntegerField(fields.Field[int]):
    """An integer within bounds, in decimal digits."""

    def __init__(self, lowest: int, highest: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._bounds = lowest, highest
        self.json_schema = {"type": "integer", "minimum": lowest, "maximum": highest}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        lowest, highest = self._bounds
        number = int(value) if INTEGER.fullmatch(value) else None
        if number is None or not lowest <= number <= highest:
            raise ValidationError(f"Must be a whole number from {lowest} to {highest}.")
        return number


class CursorField(fields.Field[str]):
    """The text of a cursor from a `Link` header, or `end`."""

    json_schema: ClassVar = {"type": "string", "pattern": CURSOR_PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not re.fullmatch(CURSOR_PATTERN, value):
            raise ValidationError("Must be a cursor: copy it from a `Link` header.")
        return str(value)


class EnumField(fields.Field[C]):
    """One of a fixed set of names."""

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
    """The parameters of every request for events."""

    class Meta:
        unknown = RAISE

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        """Raise InvalidParameters; marshmallow calls this when loading fails."""
        raise InvalidParameters(error.messages) from error

    start = Timestamp(
        metadata=_describe("Only events at or after this day or time.", examples=["2021-08-15"])
    )
    end = Timestamp(
        metadata=_describe("Only events before this day or time.", examples=["2021-08-16"])
    )
    id = IntegerField(MIN_ID, MAX_ID, metadata=_describe("Only events with this `id`."))
    name = Text(metadata=_describe("Only events with this name."))


class TraceParameters(FilterParameters):
    """The parameters of a request for a trace."""

    order = EnumField(
        Order,
        load_default=Order.DATE,
        metadata=_describe(
            "By date, by date with the newest first, or by arrival; equal dates by arrival.",
            default="date",
        ),
    )
    limit = IntegerField(
        1, MAX_LIMIT, metadata=_describe("Maximum number of events; all if absent.")
    )
    cursor = CursorField(
        metadata=_describe(
            "Where to continue: the `cursor` in the `Link` header of the last response. With "
            "`order=arrival`, `end` is after the last event."
        )
    )
    wait = IntegerField(
        0,
        MAX_WAIT_SECONDS,
        load_default=0,
        metadata=_describe("Seconds to wait for an event if there is none."),
    )

    @post_load
    def parse_cursor(self, plain: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Return the parameters with a Cursor; raises CursorGone."""
        if "cursor" not in plain:
            return plain
        try:
            return {**plain, "cursor": parse_cursor(plain["cursor"], plain["order"])}
        except ValueError as error:
            raise ValidationError(f"Must be {error}.", "cursor") from error


class PathsParameters(FilterParameters):
    """The parameters of a request for paths."""

    trace_id = Text(metadata=_describe("Only events of this trace."))


class SummaryParameters(PathsParameters):
    """The parameters of a summary."""

    bucket = EnumField(
        Bucket,
        load_default=Bucket.DAY,
        metadata=_describe("The length of the buckets of time.", default="day"),
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
    """Return the selection that a query describes.

    Raises InvalidParameters naming each bad one.
    """
    plain, members = _load(schema, query)
    return Selection(project_id, data=members, **path, **plain)


def load_summary(query: Mapping[str, list[str]], project_id: int) -> tuple[Selection, Bucket]:
    """Return the selection and the bucket of a summary.

    Raises InvalidParameters naming each bad one.
    """
    plain, members = _load(summary, query)
    bucket = plain.pop("bucket")
    return Selection(project_id, data=members, **plain), bucket


def _load(schema: Schema, query: Mapping[str, list[str]]) -> tuple[dict[str, Any], dict[str, str]]:
    if not query:
        return _load_defaults(schema).copy(), {}
    problems = {name: ["Given more than once."] for name, values in query.items() if values[1:]}
    members = {name: values[0] for name, values in query.items() if name.startswith(MEMBER_PREFIX)}
    problems |= {name: [_MEMBER_RULE] for name in members if not _is_member(name)}
    if len(members) > MAX_MEMBERS:
        problems |= {MEMBER_PREFIX: [f"Must be {MAX_MEMBERS} members at most."]}
    if problems:
        raise InvalidParameters(problems)
    plain = schema.load({name: values[0] for name, values in query.items() if name not in members})
    return plain, {name.removeprefix(MEMBER_PREFIX): value for name, value in members.items()}


@lru_cache
def _load_defaults(schema: Schema) -> dict[str, Any]:
    defaults: dict[str, Any] = schema.load({})
    return defaults


def _is_member(name: str) -> bool:
    return re.fullmatch(MEMBER_PATTERN, name) is not None
