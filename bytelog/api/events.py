"""The API's endpoints for events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from urllib.parse import unquote_to_bytes, urlencode

from flask import Blueprint, Flask, current_app, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response

from ..auth.bearer import requires
from ..config import MAX_GROUPS, READER_THREADS
from ..events import store
from ..queries.formats import FORMATS, JSON, Format
from ..queries.listing import Listing
from ..queries.paths import Paths
from ..queries.selection import Selection, TooManyGroups
from ..queries.summary import Summary
from . import body as request_body
from . import idempotency, parameters
from .parameters import InvalidParameters, load_selection, load_summary
from .reader_slots import ReaderSlots, TooManyReaders, slots_of

blueprint = Blueprint("events", __name__, url_prefix="/api/v1/events")


class TraceIdConverter(BaseConverter):
    """The rest of a path, whatever it holds, slashes and line ends included."""

    regex = r"(?s:.+)"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.url_map.converters["trace_id"] = TraceIdConverter
    app.url_map.merge_slashes = False
    app.extensions["bytelog.reader_slots"] = ReaderSlots(READER_THREADS)
    app.register_blueprint(blueprint)


@blueprint.post("")
@requires("write")
def register_events(project_id: int) -> Response:
    """Save a new event, or a batch of them."""
    body = request_body.read()
    events = request_body.events(body)
    token = idempotency.read_token(project_id, request.headers.get(idempotency.HEADER), body)
    store.record(project_id, events, token)
    return Response(status=201)


@blueprint.get("")
@requires("read")
def list_events(project_id: int) -> Response:
    """Send the events of a window, or those of it that have the values asked for."""
    return _respond(load_selection(parameters.listing, _query(), project_id))


@blueprint.get("/trace/<trace_id:trace_id>")
@requires("read")
def follow_trace(project_id: int, trace_id: str) -> Response:
    """Send the events that carry a trace id."""
    _check_path()
    return _respond(load_selection(parameters.trace, _query(), project_id, trace_id=trace_id))


@blueprint.get("/summary")
@requires("read")
def summarize(project_id: int) -> Response:
    """Count the events of a window, by name and bucket."""
    selection, bucket = load_summary(_query(), project_id)
    try:
        return _send_json(store.count(selection, bucket))
    except TooManyGroups as error:
        detail = f"Must leave at most {MAX_GROUPS} counts: take a longer one, or a shorter window."
        raise InvalidParameters(detail, "bucket") from error


@blueprint.get("/paths")
@requires("read")
def count_paths(project_id: int) -> Response:
    """Count which events of a window follow each other in their traces."""
    selection = load_selection(parameters.paths, _query(), project_id)
    try:
        with slots_of(current_app).acquire():
            return _send_json(store.count_paths(selection))
    except TooManyGroups as error:
        detail = f"Must leave at most {MAX_GROUPS} pairs of names: take a shorter window."
        raise InvalidParameters(detail, "start") from error


def _send_json(content: Summary | Paths) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), mimetype=JSON.media_type)


def _check_path() -> None:
    # Werkzeug puts U+FFFD for what is not UTF-8, and would look for another trace than was asked.
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameters("Must be UTF-8, encoded with percent signs.", "trace_id") from error


def _query() -> dict[str, list[str]]:
    # Werkzeug leaves `%FF` as it is, and would look for another name than was asked.
    try:
        unquote_to_bytes(request.query_string).decode()
        return request.args.to_dict(flat=False)
    except UnicodeDecodeError as error:
        raise InvalidParameters("Must be UTF-8, encoded with percent signs.", "*") from error


def _respond(selection: Selection) -> Response:
    format_ = FORMATS[_plain_types().best_match(FORMATS, JSON.media_type)]
    listing = _listing(selection, format_)
    chunks = format_.write(listing.count, listing.pages)
    # Read before the status is sent: until then an error can still be told. What fits in a page
    # goes out whole, with a length, so that its connection stays open for the next request.
    beginning = list(islice(chunks, 3))
    is_long = len(beginning) == 3
    body = _StreamedListing(chain(beginning, chunks)) if is_long else b"".join(beginning)
    response = Response(body, mimetype=format_.media_type)
    response.vary.add("Accept")
    if listing.next:
        query = [*_without_cursor(), ("cursor", str(listing.next))]
        # Relative to the request, so that it holds behind every proxy (RFC 8288 section 3).
        response.headers["Link"] = f'<?{urlencode(query)}>; rel="next"'
    return response


def _plain_types() -> MIMEAccept:
    # A parameter such as the charset makes no other format, but Werkzeug would take it for one.
    return MIMEAccept((it.partition(";")[0], quality) for it, quality in request.accept_mimetypes)


def _listing(selection: Selection, format_: Format) -> Listing:
    # Counting takes as long as the listing is; who finds no place hears so before.
    if slots_of(current_app).is_full() and store.is_long(selection, format_):
        raise TooManyReaders
    listing = store.select(selection, format_)
    if listing.count or not selection.wait:
        return listing
    with slots_of(current_app).acquire_waiting():
        is_gone = request.environ.get("waitress.client_disconnected", bool)
        return store.wait_for(selection, format_, is_gone)


def _without_cursor() -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.args.items() if name != "cursor"]


class _StreamedListing:
    """A body that takes long to send; as many at once as there are threads for them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._slot = slots_of(current_app).acquire()
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Give the place back; WSGI calls this however the sending ended (PEP 3333)."""
        self._slot.close()
