"""The API's endpoints for events."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

from flask import Blueprint, Flask, current_app, request
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response

from ..auth.bearer import authorize, requires
from ..auth.keys import Grant
from ..config import READER_THREADS
from ..events import store
from ..queries.formats import FORMATS, Format
from ..queries.listing import Listing
from ..queries.selection import Selection
from . import bounds, idempotency, other_formats, parameters, streams
from .body import is_batch, load_events, read_body
from .parameters import InvalidParameters, load_paths, load_selection
from .reader_slots import ReaderSlot, ReaderSlots, TooManyReaders, slots_of
from .reading import (
    build_link,
    choose_format,
    read_groups,
    read_limits,
    read_query,
    send_object,
)

blueprint = Blueprint("events", __name__, url_prefix="/api/v1/events")


class TraceIdConverter(BaseConverter):
    """A converter that matches the rest of the path, slashes and line breaks included."""

    regex = r"(?s:.+)"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.url_map.converters["trace_id"] = TraceIdConverter
    app.url_map.merge_slashes = False
    app.extensions["bytelog.reader_slots"] = ReaderSlots(READER_THREADS)
    other_formats.init_app(app)
    app.register_blueprint(blueprint)


@blueprint.post("")
@requires("write")
def register_events(grant: Grant) -> Response:
    """Store an event or a batch of events."""
    body, recorder = read_body()
    if recorder:
        recorder(grant, body)
        return Response(status=201)
    events = load_events(body, grant.project_id)
    if grant.bound:
        bounds.check(grant.bound, enumerate(events), is_batch(body))
    token = idempotency.read_token(grant, request.headers.get(idempotency.HEADER), body)
    store.record(grant.project_id, events, token, bounds.load(grant.bound))
    return Response(status=201)


@blueprint.get("")
@requires("read")
def list_events(grant: Grant) -> Response:
    """Send the events that match the query, or for a client of event streams all that arrive."""
    if streams.is_requested():
        return streams.respond(grant)
    return _respond(load_selection(parameters.listing, read_query(), grant))


@blueprint.get("/trace/<trace_id:trace_id>")
@requires("read")
def follow_trace(grant: Grant, trace_id: str) -> Response:
    """Send the events of a trace that match the query."""
    _check_path()
    return _respond(load_selection(parameters.trace, read_query(), grant, trace_id=trace_id))


@blueprint.get("/paths")
@requires("read")
def count_paths(grant: Grant) -> Response:
    """Count which of the events that match the query follow each other in their traces."""
    selection, scope = load_paths(read_query(), grant)
    count = partial(store.count_paths, selection, scope)
    return send_object(read_groups(count, grant.project_id, "start", "use a shorter window"))


def _check_path() -> None:
    # Werkzeug replaces invalid UTF-8 with U+FFFD, which would select another trace.
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameters("Must be UTF-8, percent-encoded.", "trace_id") from error


def _respond(selection: Selection) -> Response:
    format_ = choose_format(FORMATS)
    with slots_of(current_app).slot(selection.project_id) as slot:
        _take_slot(slot, selection, format_)
        listing = _open_listing(slot, selection, format_)
        response = Response(_build_body(slot, format_, listing), mimetype=format_.media_type)
    response.vary.add("Accept")
    if listing.next:
        response.headers["Link"] = build_link(listing.next)
    return response


def _take_slot(slot: ReaderSlot, selection: Selection, format_: Format) -> None:
    if not selection.is_indexed:
        slot.take()
    elif selection.limit is None and not selection.is_of_traces:
        try:
            slot.take()
        except TooManyReaders:
            # Reject before counting: counting costs as much as listing.
            if store.is_long(selection, format_, read_limits()):
                raise


def _open_listing(slot: ReaderSlot, selection: Selection, format_: Format) -> Listing:
    listing = store.select(selection, format_, read_limits())
    if listing.count or not selection.wait:
        return listing
    with slot.wait():
        listing = store.wait_for(selection, format_, read_limits())
    authorize("read")  # The key may have been revoked meanwhile.
    return listing


def _build_body(slot: ReaderSlot, format_: Format, listing: Listing) -> bytes | _StreamedListing:
    chunks = format_.write(listing.count, listing.pages)
    # Read the first page before the status is sent: until then an error can still be reported.
    # A listing of one page makes two chunks; its length is sent, which keeps the connection open.
    beginning = list(islice(chunks, 3))
    if len(beginning) < 3:
        return b"".join(beginning)
    slot.take()
    return _StreamedListing(chain(beginning, chunks), slot.move())


class _StreamedListing:
    """A response body that takes long to send; it has a reader slot until it is closed."""

    def __init__(self, chunks: Iterator[bytes], slot: ReaderSlot) -> None:
        self._slot = slot
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Free the slot. WSGI calls this even if the response failed (PEP 3333)."""
        self._slot.free()
