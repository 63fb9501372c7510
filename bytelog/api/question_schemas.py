"""The responses that count and compare, as marshmallow schemas."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from ..events.schemas import Timestamp
from ..queries.path_changes import FACTOR, MIN_CASES
from ..queries.traces import NAMES_OF_TRACE
from ..storage.numbers import MAX_NUMBER_CHARACTERS

_counts = fields.Dict(
    fields.String(),
    fields.Integer(metadata={"minimum": 1}),
    required=True,
    metadata={"description": "The number of events of each name, the most frequent first."},
)


def _create_count(description: str, minimum: int = 0) -> fields.Integer:
    return fields.Integer(required=True, metadata={"minimum": minimum, "description": description})


def _create_date(description: str) -> Timestamp:
    return Timestamp(required=True, metadata={"format": "date-time", "description": description})


def _create_list(schema: type[Schema], description: str) -> fields.List[Any]:
    nested = fields.Nested(schema)
    return fields.List(nested, required=True, metadata={"description": description})


class BucketSchema(Schema):
    """The events of one bucket of time."""

    date = fields.String(
        required=True, metadata={"format": "date-time", "description": "The start of the bucket."}
    )
    count = _create_count("The number of events in the bucket.", minimum=1)
    names = _counts


class SummarySchema(Schema):
    """The response with a summary."""

    count = _create_count("The number of events.")
    names = _counts
    buckets = _create_list(BucketSchema, "The buckets that have events, in order of time.")


def _create_number(description: str) -> fields.String:
    return fields.String(allow_none=True, metadata={"description": description})


class GroupSchema(Schema):
    """The events of one group. `name` and members have the names of the parameters `by`."""

    date = fields.String(
        metadata={"format": "date-time", "description": "The start of the bucket, with `bucket`."}
    )
    name = fields.String(metadata={"description": "The name of the events, with `by=name`."})
    count = _create_count("The number of events in the group.", minimum=1)
    traces = _create_count("The number of their traces.", minimum=1)
    sum = _create_number("The exact sum of the numbers, with `sum`; `null` if there is none.")
    min = _create_number("The least number.")
    max = _create_number("The greatest number.")
    average = _create_number("The average of the numbers, rounded to 20 digits.")
    skipped = fields.Integer(
        metadata={
            "minimum": 0,
            "description": "The number of events whose member is no number, or a number of more "
            f"than {MAX_NUMBER_CHARACTERS:,} characters.",
        }
    )


class GroupsSchema(Schema):
    """The response with groups."""

    count = _create_count("The number of events.")
    groups = _create_list(GroupSchema, "The groups in order of time, the largest first.")


class NameSchema(Schema):
    """The events of one name."""

    name = fields.String(required=True, metadata={"description": "The name of the events."})
    count = _create_count("The number of events with this name.", minimum=1)
    first = _create_date("The date of the first.")
    last = _create_date("The date of the last.")
    members = fields.Dict(
        fields.String(),
        fields.List(
            fields.String(
                metadata={"enum": ["string", "number", "boolean", "null", "array", "object"]}
            )
        ),
        required=True,
        metadata={
            "description": "The members of `data`, and the kinds of their values, both the most "
            "frequent first."
        },
    )


class NamesSchema(Schema):
    """The response with names."""

    count = _create_count("The number of events.")
    names = _create_list(NameSchema, "The names of the events, the most frequent first.")


class StepSchema(Schema):
    """A name of events, and how many traces start and end with it."""

    name = fields.String(required=True, metadata={"description": "The name of the events."})
    count = _create_count("The number of events with this name.", minimum=1)
    starts = _create_count("The number of traces that start with it.")
    ends = _create_count("The number of traces that end with it.")


class PairSchema(Schema):
    """One name that follows another in a trace."""

    before = fields.String(
        required=True, data_key="from", metadata={"description": "The name of the first event."}
    )
    after = fields.String(
        required=True, data_key="to", metadata={"description": "The name of the next event."}
    )


class TransitionSchema(PairSchema):
    """How often one event follows another in a trace, and the median time between the two."""

    count = _create_count("How often the second name follows the first.", minimum=1)
    median_seconds = fields.Float(
        required=True,
        metadata={"minimum": 0, "description": "The median time between the two, in seconds."},
    )


class PathsSchema(Schema):
    """The response with paths."""

    count = _create_count("The number of events.")
    traces = _create_count("The number of their traces.")
    names = _create_list(StepSchema, "The names of the events, the most frequent first.")
    transitions = _create_list(
        TransitionSchema, "Which name follows which, the most frequent first."
    )


def _create_median(description: str) -> fields.Float:
    return fields.Float(
        required=True,
        allow_none=True,
        metadata={"minimum": 0, "description": f"{description} `null` if there is none."},
    )


class ChangeSchema(PairSchema):
    """A transition in a window, and in the window that it is compared with."""

    count = _create_count("How often the second name follows the first.")
    against_count = _create_count("The same in the other window.")
    median_seconds = _create_median("The median time between the two, in seconds.")
    against_median_seconds = _create_median("The same in the other window.")


def _create_changes(description: str) -> fields.List[Any]:
    return _create_list(ChangeSchema, description)


class ChangesSchema(Schema):
    """The response with a comparison of paths."""

    traces = _create_count("The number of traces in the window.")
    against_traces = _create_count("The number of traces in the other window.")
    new = _create_changes("Transitions that occur in the window only.")
    gone = _create_changes("Transitions that occur in the other window only.")
    slower = _create_changes(
        f"Transitions whose median time is at least {FACTOR} times longer, with {MIN_CASES} or "
        "more cases in both windows."
    )
    faster = _create_changes("The reverse of `slower`.")
    rarer = _create_changes(
        f"Transitions whose count divided by the number of traces is at most 1/{FACTOR} of that in "
        f"the other window, with at least {MIN_CASES} cases there."
    )
    more_frequent = _create_changes("The reverse of `rarer`.")


class FunnelStepSchema(Schema):
    """A step of a funnel."""

    name = fields.String(required=True, metadata={"description": "The name of the events."})
    count = _create_count("The number of traces that reach the step.")
    median_seconds = _create_median("The median time since the step before, in seconds.")
    reached = fields.String(
        required=True,
        metadata={
            "format": "uri-reference",
            "description": "Where these traces are listed, relative to this request.",
        },
    )
    stopped = fields.String(
        required=True,
        metadata={
            "format": "uri-reference",
            "description": "Where those of them are listed that do not reach the next step.",
        },
    )


class FunnelSchema(Schema):
    """The response with a funnel."""

    traces = _create_count("The number of traces that the filters select.")
    steps = _create_list(FunnelStepSchema, "The steps, in their order.")


class TraceSchema(Schema):
    """A trace: its events, whether the filters select them or not."""

    trace_id = fields.String(required=True, metadata={"description": "The trace id."})
    first = _create_date("The date of the first event.")
    last = _create_date("The date of the last event.")
    seconds = fields.Float(
        required=True, metadata={"minimum": 0, "description": "The time between the two."}
    )
    count = _create_count("The number of events.", minimum=1)
    names = fields.List(
        fields.String(),
        required=True,
        metadata={"description": f"The names of the first {NAMES_OF_TRACE} events, in order."},
    )


class TracesSchema(Schema):
    """The response with traces."""

    count = _create_count("The number of traces in this page.")
    traces = _create_list(TraceSchema, "The traces, the newest first.")
