"""The API's responses as marshmallow schemas, from which `/openapi.json` is generated."""

from __future__ import annotations

from marshmallow import Schema, fields

from ..auth.keys import SCOPES
from ..events.schemas import EventSchema
from ..storage.file_space import LogState


class ListingSchema(Schema):
    """The response with a listing."""

    count = fields.Integer(
        required=True,
        metadata={
            "minimum": 0,
            "description": "The number of events in this response: with `limit`, in the page.",
        },
    )
    events = fields.List(
        fields.Nested(EventSchema),
        required=True,
        metadata={"description": "In the requested order: by date, unless `order` is set."},
    )


class KeySchema(Schema):
    """The response that describes the key of the request."""

    project = fields.String(required=True, metadata={"description": "The name of its project."})
    key = fields.String(required=True, metadata={"description": "The name of the key."})
    scopes = fields.List(
        fields.String(metadata={"enum": list(SCOPES)}),
        required=True,
        metadata={"description": "What the key may do."},
    )
    bound = fields.Dict(
        fields.String(),
        fields.List(fields.String()),
        data_key="only",
        metadata={
            "description": "The events that the key may read and record: those that have one of "
            "the values of each field. Absent if there is no limit."
        },
    )


class CountSchema(Schema):
    """The response that counts the events that would be deleted."""

    count = fields.Integer(
        required=True, metadata={"minimum": 0, "description": "The number of events that match."}
    )


class ErasureSchema(Schema):
    """The response after events were deleted."""

    deleted = fields.Integer(
        required=True, metadata={"minimum": 0, "description": "The number of deleted events."}
    )
    log = fields.String(
        metadata={
            "enum": [LogState.CHECKPOINTS_OFF, LogState.IN_USE],
            "description": "Why the text of deleted events may still be in the write-ahead log of "
            "SQLite; absent if it is not. `in use`: a long read or a backup needs the log, so send "
            "the request again later. `checkpoints off`: another program empties it, because of "
            "`BYTELOG_CHECKPOINTS`.",
        }
    )


class HealthSchema(Schema):
    """The response of a service that works."""

    status = fields.String(required=True, metadata={"enum": ["ok"], "description": "Always `ok`."})


class ErrorSchema(Schema):
    """The response to a request that failed."""

    error = fields.String(required=True, metadata={"description": "What is wrong, in a few words."})


class BadFieldSchema(Schema):
    """What is wrong with one field, parameter or header, which is named by one of three members."""

    detail = fields.String(required=True, metadata={"description": "What it must be."})
    pointer = fields.String(metadata={"description": "A JSON Pointer (RFC 6901) into the body."})
    parameter = fields.String(metadata={"description": "The name of a parameter."})
    header = fields.String(metadata={"description": "The name of a header."})


class ProblemSchema(ErrorSchema):
    """The same for a client that prefers problem details (RFC 9457)."""

    type = fields.String(
        required=True,
        metadata={"format": "uri-reference", "description": "Always `about:blank`."},
    )
    title = fields.String(required=True, metadata={"description": "The meaning of the status."})
    status = fields.Integer(
        required=True,
        metadata={"minimum": 400, "maximum": 599, "description": "The status of the response."},
    )
    detail = fields.String(
        required=True, metadata={"description": "What is wrong, and what to do."}
    )
    errors = fields.List(
        fields.Nested(BadFieldSchema), metadata={"description": "What is wrong with each field."}
    )
