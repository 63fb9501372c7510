"""What the API sends, as marshmallow schemas from which `/openapi.json` is made."""

from __future__ import annotations

from marshmallow import Schema, fields

from ..events.schemas import StoredEventSchema, Timestamp


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
