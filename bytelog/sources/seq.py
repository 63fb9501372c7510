"""Events of Seq, in its older form, as events of bytelog. The newer form is CLEF.

The first member that is there counts, and MAX_TEXT_LENGTH characters of it:

id        63 bits of the SHA-256 of the event's text
name      MessageTemplate, RenderedMessage, Level, else "Information"
trace_id  TraceId, and of the Properties TraceId, CorrelationId, RequestId
date      Timestamp
"""

from __future__ import annotations

from .mappings import SOURCES, Message, Source, compute_id, create_trace_id

CLEF = SOURCES["clef"]

RAW = Source(
    id=(),
    name=("MessageTemplate", "RenderedMessage", "Level"),
    trace_id=("TraceId", "Properties.TraceId", "Properties.CorrelationId", "Properties.RequestId"),
    date=("Timestamp",),
    defaults={"name": "Information"},
    has_dates=True,
)


def parse(source: Source, text: str) -> Message:
    """Return an event as a message without an id; raises InvalidJSON and ValidationError."""
    return source.parse(text, compute_id(text), create_trace_id())
