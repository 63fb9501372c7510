"""The query parameters of requests for traces and funnels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, validates_schema

from ..auth.keys import Grant
from ..config import MAX_FUNNEL_STEPS, MAX_NAMES_OF_TRACES, MAX_TRACES, MAX_WITHIN_SECONDS
from ..events.schemas import Text, Timestamp
from ..queries.paths import Scope
from ..queries.selection import Selection
from ..queries.trace_selection import Expectation, Funnel, FunnelTraces, State, TraceSelection
from ..storage.keyset import Order
from .cursors import parse_cursor
from .fields import CursorField, EnumField, IntegerField, RepeatableField
from .parameters import InvalidParameters, PathsParameters, TracedParameters, describe, load, select

DEFAULT_TRACES = 100
"""Traces in a page by default: what a person looks through."""


class ComparisonParameters(PathsParameters):
    """The parameters of a comparison of paths."""

    against_start = Timestamp(
        metadata=describe("The start of the window to compare with, like `start`.")
    )
    against_end = Timestamp(
        metadata=describe("The end of that window. One of both is required.", example="2021-08-15")
    )

    @validates_schema(skip_on_field_errors=True)
    def check_window(self, plain: Mapping[str, Any], **_: Any) -> None:
        """Raise ValidationError if there is no window to compare with."""
        if not plain.keys() & {"against_start", "against_end"}:
            raise ValidationError("Is required, or against_end.", "against_start")


class FunnelParameters(TracedParameters):
    """The parameters of a funnel."""

    step = RepeatableField(
        Text(),
        MAX_FUNNEL_STEPS,
        least=2,
        required=True,
        metadata=describe(
            "A name of events; repeated, the steps in their order.",
            example=["click", "paypal_payment"],
        ),
    )
    within = IntegerField(
        1, MAX_WITHIN_SECONDS, metadata=describe("The seconds within which all steps follow.")
    )


class TracesParameters(TracedParameters):
    """The parameters of a listing of traces."""

    limit = IntegerField(
        1,
        MAX_TRACES,
        load_default=DEFAULT_TRACES,
        metadata=describe("Maximum number of traces.", default=DEFAULT_TRACES),
    )
    cursor = CursorField(
        metadata=describe("Where to continue: the `cursor` in the `Link` header of the last page.")
    )
    having = RepeatableField(
        Text(),
        MAX_NAMES_OF_TRACES,
        metadata=describe("Only traces with an event of this name; repeated, of each."),
    )
    lacking = RepeatableField(
        Text(),
        MAX_NAMES_OF_TRACES,
        metadata=describe("Only traces without an event of this name; repeated, of any."),
    )
    sequence = RepeatableField(
        Text(),
        MAX_FUNNEL_STEPS,
        least=2,
        metadata=describe("A name of events; repeated, names that follow one another directly."),
    )
    ending = Text(metadata=describe("Only traces whose last event has this name."))
    origin = Text(
        data_key="from",
        metadata=describe("Only traces with an event of this name that `to` should follow."),
    )
    target = Text(data_key="to", metadata=describe("The name of the event that should follow."))
    within = IntegerField(
        1,
        MAX_WITHIN_SECONDS,
        metadata=describe("The seconds within which `to` should follow, or all steps."),
    )
    state = EnumField(
        State,
        metadata=describe(
            "Whether `to` is `overdue`, came `late`, or came in time (`done`) after each `from`. "
            "`overdue` if absent."
        ),
    )
    step = RepeatableField(
        Text(),
        MAX_FUNNEL_STEPS,
        least=2,
        metadata=describe("A name of events; repeated, the steps of a funnel in their order."),
    )
    reached = IntegerField(
        1, MAX_FUNNEL_STEPS, metadata=describe("Only traces that reached the step of this number.")
    )
    stopped = IntegerField(
        1,
        MAX_FUNNEL_STEPS,
        metadata=describe("Only traces that reached this step, and not the next one."),
    )

    @validates_schema(skip_on_field_errors=True)
    def check_combination(self, plain: Mapping[str, Any], **_: Any) -> None:
        """Raise ValidationError if a parameter lacks another that it needs."""
        if plain.keys() & {"origin", "target", "state"}:
            _require(plain, {"origin": "from", "target": "to", "within": "within"})
            _forbid(plain, ("step", "reached", "stopped"))
        elif "step" in plain:
            _check_step(plain)
        else:
            _forbid(plain, ("within", "reached", "stopped"))


traces = TracesParameters()
funnel = FunnelParameters()
comparison = ComparisonParameters()


def load_traces(query: Mapping[str, list[str]], grant: Grant) -> tuple[TraceSelection, int]:
    """Return the selection of traces that a query describes, and the maximum of their number.

    Raises InvalidParameters naming each bad one, and CursorGone.
    """
    plain = load(traces, query)
    limit = plain.pop("limit")
    selection = TraceSelection(
        having=plain.pop("having", ()),
        lacking=plain.pop("lacking", ()),
        sequence=plain.pop("sequence", ()),
        ending=plain.pop("ending", None),
        expectation=_take_expectation(plain),
        funnel_traces=_take_funnel_traces(plain),
        events=_select(plain, grant),
    )
    return selection, limit


def load_comparison(
    query: Mapping[str, list[str]], grant: Grant
) -> tuple[Selection, Selection, Scope]:
    """Return the selections of the two windows to compare, and what filters select.

    Raises InvalidParameters naming each bad one.
    """
    plain = load(comparison, query)
    scope = plain.pop("scope")
    window = {name: plain.pop(f"against_{name}", None) for name in ("start", "end")}
    return select(plain, grant), select({**plain, **window}, grant), scope


def load_funnel(query: Mapping[str, list[str]], grant: Grant) -> tuple[Selection, Funnel]:
    """Return the selection and the funnel that a query describes.

    Raises InvalidParameters naming each bad one.
    """
    plain = load(funnel, query)
    steps = Funnel(plain.pop("step"), plain.pop("within", None))
    return select(plain, grant), steps


def _select(plain: dict[str, Any], grant: Grant) -> Selection:
    if "cursor" not in plain:
        return select(plain, grant)
    try:
        cursor = parse_cursor(plain["cursor"], Order.NEWEST)
    except ValueError as error:
        raise InvalidParameters(f"Must be {error}.", "cursor") from error
    return select({**plain, "cursor": cursor}, grant)


def _take_expectation(plain: dict[str, Any]) -> Expectation | None:
    if "origin" not in plain:
        return None
    state = plain.pop("state", State.OVERDUE)
    return Expectation(plain.pop("origin"), plain.pop("target"), plain.pop("within"), state)


def _take_funnel_traces(plain: dict[str, Any]) -> FunnelTraces | None:
    if "step" not in plain:
        return None
    steps = Funnel(plain.pop("step"), plain.pop("within", None))
    if "stopped" in plain:
        return FunnelTraces(steps, plain.pop("stopped"), is_end=True)
    return FunnelTraces(steps, plain.pop("reached"), is_end=False)


def _require(plain: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for name, parameter in names.items():
        if name not in plain:
            raise ValidationError("Is required with from, to and state.", parameter)


def _forbid(plain: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name in plain:
            raise ValidationError("Has no meaning without step, or with from and to.", name)


def _check_step(plain: Mapping[str, Any]) -> None:
    numbers = [(name, plain[name]) for name in ("reached", "stopped") if name in plain]
    if len(numbers) != 1:
        raise ValidationError("Is required with step, unless stopped is given instead.", "reached")
    ((name, number),) = numbers
    if number > len(plain["step"]):
        raise ValidationError("Must be the number of a step.", name)
