"""The query parameters of a request: which events to return, in which order and how many."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from marshmallow import RAISE, Schema, ValidationError, post_load

from .. import timestamps
from ..auth.keys import Grant
from ..config import MAX_ID, MAX_LIMIT, MAX_WAIT_SECONDS, MIN_ID
from ..events.schemas import Text, Timestamp
from ..queries.paths import Scope
from ..queries.selection import Filter, Operator, Selection, equal
from ..storage.keyset import Order
from . import bounds, members, moved_cursors
from .cursors import parse_cursor
from .fields import (
    CursorField,
    EnumField,
    FilterField,
    IntegerField,
    RepeatableField,
    SearchField,
    ZoneField,
)


def describe(text: str, **metadata: Any) -> dict[str, Any]:
    """Return the metadata of a parameter, with what it means."""
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
        metadata=describe("Only events at or after this day or time.", examples=["2021-08-15"])
    )
    end = Timestamp(
        metadata=describe("Only events before this day or time.", examples=["2021-08-16"])
    )
    tz = ZoneField(
        metadata=describe(
            "The time zone of days and other buckets, and of times that have no zone.",
            default="UTC",
            examples=["Europe/Berlin"],
        )
    )
    id = FilterField(
        IntegerField(MIN_ID, MAX_ID), "id", metadata=describe("Only events with this `id`.")
    )
    name = FilterField(
        Text(), "name", metadata=describe("Only events with this name, or one of these.")
    )
    name_not = FilterField(
        Text(), "name", Operator.NOT, metadata=describe("Only events with another name.")
    )
    name_prefix = FilterField(
        Text(),
        "name",
        Operator.PREFIX,
        metadata=describe("Only events whose name starts with this, or with one of these."),
    )
    q = SearchField(
        Text(),
        metadata=describe(
            "Only events with this text in the name, the trace id or a string within `data`. The "
            "letters A to Z match in any case."
        ),
    )

    @post_load(pass_original=True)
    def localize(
        self, plain: dict[str, Any], original: Mapping[str, str], **_: Any
    ) -> dict[str, Any]:
        """Return the parameters with the bounds of the window in the time zone."""
        if "tz" not in plain:
            return plain
        return plain | {
            name: _localize(name, original[name], plain["tz"])
            for name in ("start", "end", "against_start", "against_end")
            if name in plain
        }


class TracedParameters(FilterParameters):
    """The parameters of a request for events of any trace."""

    trace_id = FilterField(
        Text(), "trace_id", metadata=describe("Only events of this trace, or of one of these.")
    )
    trace_id_not = FilterField(
        Text(), "trace_id", Operator.NOT, metadata=describe("Only events of other traces.")
    )
    trace_id_prefix = FilterField(
        Text(),
        "trace_id",
        Operator.PREFIX,
        metadata=describe("Only events of traces whose id starts with this, or one of these."),
    )


class TraceParameters(FilterParameters):
    """The parameters of a request for a trace."""

    order = EnumField(
        Order,
        load_default=Order.DATE,
        metadata=describe(
            "By date, by date with the newest first, or by arrival; equal dates by arrival.",
            default="date",
        ),
    )
    limit = IntegerField(
        1, MAX_LIMIT, metadata=describe("Maximum number of events; all if absent.")
    )
    cursor = CursorField(
        metadata=describe(
            "Where to continue: the `cursor` in the `Link` header of the last response. With "
            "`order=arrival`, `end` is after the last event."
        )
    )
    wait = IntegerField(
        0,
        MAX_WAIT_SECONDS,
        load_default=0,
        metadata=describe("Seconds to wait for an event if there is none."),
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


class PathsParameters(TracedParameters):
    """The parameters of a request for paths."""

    scope = EnumField(
        Scope,
        load_default=Scope.TRACES,
        metadata=describe(
            "Whether filters and window select whole traces that have a matching event, or the "
            "events alone.",
            default="traces",
        ),
    )


class ListingParameters(TracedParameters, TraceParameters):
    """The parameters of a listing."""


listing = ListingParameters()
trace = TraceParameters()
paths = PathsParameters()


def load_selection(
    schema: Schema, query: Mapping[str, list[str]], grant: Grant, trace_id: str | None = None
) -> Selection:
    """Return the selection that a query describes, of one trace if its id is given.

    Raises InvalidParameters naming each bad one.
    """
    of_trace = (equal("trace_id", trace_id),) if trace_id is not None else ()
    return select(load(schema, query), grant, of_trace)


def load_paths(query: Mapping[str, list[str]], grant: Grant) -> tuple[Selection, Scope]:
    """Return the selection and the scope of paths.

    Raises InvalidParameters naming each bad one.
    """
    plain = load(paths, query)
    scope = plain.pop("scope")
    return select(plain, grant), scope


def load(schema: Schema, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the parameters by name, and the filters under `filters`.

    Raises InvalidParameters naming each bad one.
    """
    if not query:
        return _load_defaults(schema).copy()
    by_member = {name: values for name, values in query.items() if name.startswith(members.PREFIX)}
    others = {name: values for name, values in query.items() if name not in by_member}
    repeatable = _list_repeatable(schema)
    problems = {
        name: ["Given more than once."]
        for name, values in others.items()
        if values[1:] and name not in repeatable
    }
    try:
        filters = members.load_members(by_member)
    except ValidationError as error:
        problems |= error.messages_dict
    if problems:
        raise InvalidParameters(problems)
    plain = {name: values if name in repeatable else values[0] for name, values in others.items()}
    return _gather(schema.load(plain), filters)


@lru_cache
def _list_repeatable(schema: Schema) -> frozenset[str]:
    return frozenset(
        field.data_key or name
        for name, field in schema.fields.items()
        if isinstance(field, RepeatableField)
    )


def _gather(plain: Mapping[str, Any], members: tuple[Filter, ...]) -> dict[str, Any]:
    filters = tuple(value for value in plain.values() if isinstance(value, Filter))
    others = {name: value for name, value in plain.items() if not isinstance(value, Filter)}
    return {**others, "filters": filters + members}


@lru_cache
def _load_defaults(schema: Schema) -> dict[str, Any]:
    return _gather(schema.load({}), ())


def select(plain: Mapping[str, Any], grant: Grant, of_trace: tuple[Filter, ...] = ()) -> Selection:
    """Return the selection of parameters that `load` returned; raises CursorGone."""
    fields = {name: value for name, value in plain.items() if name != "tz"}
    filters = of_trace + plain["filters"]
    bound = bounds.load(grant.bound)
    if cursor := fields.get("cursor"):
        fields["cursor"] = moved_cursors.translate(grant.project_id, cursor)
    return Selection(grant.project_id, **{**fields, "filters": filters}, bound=bound)


def _localize(name: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        return timestamps.parse(text, zone)
    except ValueError as error:
        raise ValidationError(f"Must be a date: {error}.", name) from error
