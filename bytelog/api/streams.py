"""Event streams: a listing in order of arrival that continues until the client closes it.

The format is that of HTML's `EventSource`
(https://html.spec.whatwg.org/multipage/server-sent-events.html). The id of an event is the cursor
after it, so a client that connects again continues there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from threading import BoundedSemaphore

from flask import current_app, request, stream_with_context
from marshmallow import validate
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from ..auth.bearer import authorize_again
from ..auth.keys import Grant
from ..config import EVENT_STREAM, HEARTBEAT_SECONDS, STREAM_PAUSE_MILLISECONDS
from ..events import store
from ..queries.arrivals import Arrivals
from ..queries.formats import FORMATS
from ..queries.selection import Cursor, CursorGone, Selection
from ..storage.errors import StorageError
from ..storage.keyset import Order
from ..storage.writer import current_writer
from .cursors import format_cursor
from .fields import CursorField, EnumField
from .parameters import TracedParameters, TraceParameters, load_selection
from .reader_slots import slots_of
from .reading import read_accepted_types, read_limits, read_query

HEADER = "Last-Event-ID"

RETRY_SECONDS = 2
"""How long a client waits before it connects again."""

CHECK_SECONDS = 0.4
"""How often the access is checked, and other processes' events are looked for. A key is cached for
half a second, so a revoked one ends its streams within a second."""

CONCURRENT_READS = 2
"""Streams that read at the same time, each over a connection: a commit wakes all of them, and those
that catch up with old events must leave time for other requests."""

_reads = BoundedSemaphore(CONCURRENT_READS)


class StreamParameters(TracedParameters):
    """The parameters of an event stream, which has no limit and only the order of arrival."""

    order = EnumField(
        Order,
        load_default=Order.ARRIVAL,
        validate=validate.Equal(Order.ARRIVAL, error="Must be arrival in an event stream."),
    )
    cursor = CursorField()
    parse_cursor = TraceParameters.parse_cursor


_parameters = StreamParameters()


def is_requested() -> bool:
    """Return whether the client prefers an event stream."""
    if EVENT_STREAM not in request.headers.get("Accept", ""):
        return False
    return read_accepted_types().best_match([*FORMATS, EVENT_STREAM]) == EVENT_STREAM


def respond(grant: Grant) -> Response:
    """Send the events that match the query when they arrive, from now or from the cursor on.

    Raises InvalidParameters, StorageError, CursorGone and TooManyStreams.
    """
    query = read_query()
    if last_id := request.headers.get(HEADER):
        query["cursor"] = [last_id]
    selection = load_selection(_parameters, query, grant)
    free = slots_of(current_app).open_stream(grant.project_id)
    try:
        blocks = stream_with_context(_Stream(selection).write())
    except BaseException:
        free()
        raise
    response = Response(blocks, mimetype=EVENT_STREAM)
    response.call_on_close(free)
    response.vary.add("Accept")
    # A proxy that compresses or buffers would keep events back.
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class _Stream:
    """What a client has received, and what it may receive next.

    The first read happens before the status is sent: until then an error can still be reported.
    """

    def __init__(self, selection: Selection) -> None:
        self._commits = current_writer().commits
        self._limits = read_limits()
        self._selection = selection
        self._commit_count = self._commits.count
        self._arrivals = self._read()

    def write(self) -> Iterator[bytes]:
        """Yield blocks of text until the client has gone, loses its access, or the server stops."""
        yield b"retry: %d\n\n%s" % (RETRY_SECONDS * 1000, self._take_events())
        yield self._write_heartbeat()
        sent = time.monotonic()
        while self._read_next():
            events = self._take_events()
            if not events and time.monotonic() < sent + HEARTBEAT_SECONDS:
                continue
            yield events or self._write_heartbeat()
            sent = time.monotonic()

    def _read_next(self) -> bool:
        """Wait and read; return whether the stream continues."""
        try:
            if not self._arrivals.is_behind:
                self._wait()
            self._arrivals = self._read()
            authorize_again("read")
        except (CursorGone, HTTPException):
            return False  # The client gets the error when it connects again.
        except StorageError as error:
            current_app.logger.error("an event stream ended: %s", error)
            return False
        return not (self._commits.is_stopping or self._limits.is_gone())

    def _wait(self) -> None:
        pause = STREAM_PAUSE_MILLISECONDS / 1000
        self._commits.wait(self._commit_count, CHECK_SECONDS - pause)
        time.sleep(pause)

    def _read(self) -> Arrivals:
        self._commit_count = self._commits.count
        with _reads:
            arrivals = store.read_arrivals(self._selection, self._limits)
        self._selection = replace(self._selection, cursor=arrivals.next)
        return arrivals

    def _take_events(self) -> bytes:
        events, self._arrivals = self._arrivals.events, replace(self._arrivals, events=())
        return b"".join(b"%sdata: %s\n\n" % (_write_id(cursor), event) for cursor, event in events)

    def _write_heartbeat(self) -> bytes:
        """Return a comment, and the cursor after all events examined, whether or not they match."""
        return b":\n%s\n" % _write_id(self._arrivals.next)


def _write_id(cursor: Cursor) -> bytes:
    return b"id: %s\n" % format_cursor(cursor).encode()
