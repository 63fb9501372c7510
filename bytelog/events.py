"""The API's endpoints for events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from threading import BoundedSemaphore
from typing import cast

from flask import Blueprint, Flask, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import ServiceUnavailable, UnsupportedMediaType
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response

from . import idempotency, schemas, store
from .auth import requires
from .config import READING_THREADS, RETRY_AFTER_SECONDS
from .store import Listing

blueprint = Blueprint("events", __name__, url_prefix="/api/v1/events")

# `fetch` calls a string text/plain unless told otherwise, and the API document's sample does not.
_JSON_TYPES = {"application/json", "text/plain"}


class TraceIdConverter(BaseConverter):
    """The rest of a path, whatever it holds, slashes and line ends included."""

    regex = r"(?s:.+)"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Add the endpoints to the application."""
    app.url_map.converters["trace_id"] = TraceIdConverter
    app.url_map.merge_slashes = False
    app.extensions["bytelog.places"] = BoundedSemaphore(READING_THREADS)
    app.register_blueprint(blueprint)


@blueprint.post("")
@requires("write")
def register_event(project_id: int) -> Response:
    """Save a new event."""
    body = _json_body()
    event = schemas.load_event(body)
    once = idempotency.requested(project_id, request.headers.get(idempotency.HEADER), body)
    store.record(project_id, event, once)
    return Response(status=201)


@blueprint.get("")
@requires("read")
def list_events(project_id: int) -> Response:
    """Send the events of a window."""
    query = schemas.load_query(schemas.window_schema, _query())
    return _answer(store.window(project_id, query.get("start"), query.get("end")))


@blueprint.get("/trace/<trace_id:trace_id>")
@requires("read")
def follow_trace(project_id: int, trace_id: str) -> Response:
    """Send the events that carry a trace id."""
    schemas.load_query(schemas.no_parameters, _query())
    _check_path()
    return _answer(store.trace(project_id, trace_id))


def _check_path() -> None:
    # Werkzeug puts U+FFFD for what is not UTF-8, and would look for another trace than was asked.
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValidationError("Must be UTF-8, encoded with percent signs.", "trace_id") from error


def _query() -> dict[str, list[str]]:
    try:
        return request.args.to_dict(flat=False)
    except UnicodeDecodeError as error:  # Waitress refuses such bytes, other servers pass them on
        raise ValidationError("Must be UTF-8, encoded with percent signs.", "*") from error


def _json_body() -> bytes:
    kind = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith("+json"):
        raise UnsupportedMediaType("Send JSON, with the header `Content-Type: application/json`.")
    return request.get_data(cache=False)


def _answer(listing: Listing) -> Response:
    # Counting takes as long as the listing is; who finds no place hears so before.
    if not _has_place() and listing.is_long():
        raise _too_many()
    chunks = _text(*listing.read())
    # Read before the status is sent: until then an error can still be told. What fits in a page
    # goes out whole, with a length, so that its connection stays open for the next request.
    beginning = list(islice(chunks, 3))
    if len(beginning) < 3:
        return Response(b"".join(beginning), mimetype="application/json")
    return Response(_LongListing(chain(beginning, chunks)), mimetype="application/json")


class _LongListing:
    """A body that takes long to send; as many at once as there are threads for them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._places = _places()
        if not self._places.acquire(blocking=False):
            raise _too_many()
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Give the place back; WSGI calls this however the sending ended (PEP 3333)."""
        self._places.release()


def _places() -> BoundedSemaphore:
    return cast("BoundedSemaphore", current_app.extensions["bytelog.places"])


def _has_place() -> bool:
    places = _places()
    if found := places.acquire(blocking=False):
        places.release()
    return found


def _too_many() -> ServiceUnavailable:
    detail = "Too many long listings are being read; try again, or ask for fewer days."
    return ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS)


def _text(count: int, pages: Iterator[bytes]) -> Iterator[bytes]:
    start = b'{"count":%d,"events":[' % count
    for page in pages:
        yield start + page
        start = b","
    yield b"]}" if count else start + b"]}"
