"""What all endpoints that read share: the query, the limits, and the link to the next page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import unquote_to_bytes, urlencode

from flask import current_app, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_options_header
from werkzeug.wrappers import Response

from ..config import MAX_GROUP_CHARACTERS, MAX_GROUPS
from ..queries.formats import (
    CSV,
    CSV_WITH_MARK,
    FORMATS,
    JSON,
    LINES,
    LINES_BY_TYPE,
    Format,
)
from ..queries.groups import TooManyGroups
from ..queries.selection import Cursor
from ..storage.reader import ReadLimits
from .cursors import format_cursor
from .parameters import InvalidParameters
from .reader_slots import slots_of

T = TypeVar("T")

_GROUPS = f"{MAX_GROUPS} counts, with names of {MAX_GROUP_CHARACTERS} characters in all"
"""The counts that a response may have."""

_OWN_NAMES = dict.fromkeys(LINES_BY_TYPE, LINES.media_type)


def read_query() -> dict[str, list[str]]:
    """Return the query of the request; raises InvalidParameters if it is not UTF-8."""
    # Werkzeug keeps an escape that is not UTF-8, such as `%FF`, which would select other events.
    try:
        unquote_to_bytes(request.query_string).decode()
        return request.args.to_dict(flat=False)
    except UnicodeDecodeError as error:
        raise InvalidParameters("Must be UTF-8, percent-encoded.", "*") from error


def read_limits() -> ReadLimits:
    """Return how long the statements of the request may run."""
    is_gone = request.environ.get("waitress.client_disconnected", bool)
    return ReadLimits(current_app.config["BYTELOG_READ_SECONDS"], is_gone)


def read_in_slot(read: Callable[[ReadLimits], T], project_id: int) -> T:
    """Return what a function reads in a reader slot; raises TooManyReaders."""
    with slots_of(current_app).slot(project_id) as slot:
        slot.take()
        return read(read_limits())


def read_groups(read: Callable[[ReadLimits], T], project_id: int, parameter: str, advice: str) -> T:
    """Return what a function counts in a reader slot.

    Raises TooManyReaders, and InvalidParameters with advice for a parameter if there are too many
    groups.
    """
    try:
        return read_in_slot(read, project_id)
    except TooManyGroups as error:
        detail = f"Must leave at most {_GROUPS}: {advice}."
        raise InvalidParameters(detail, parameter) from error


def send_object(content: object) -> Response:
    """Return a response with an object."""
    return Response(json.dumps(content, ensure_ascii=False), mimetype=JSON.media_type)


def choose_format(formats: Iterable[str]) -> Format:
    """Return the format among some media types that the client prefers, JSON by default."""
    format_ = FORMATS[read_accepted_types().best_match(formats, JSON.media_type)]
    if format_ is LINES:
        return _name_lines()
    return CSV_WITH_MARK if format_ is CSV and _wants_mark() else format_


def build_link(cursor: Cursor) -> str:
    """Return the value of a `Link` header that leads to the next page."""
    query = [pair for pair in request.args.items(multi=True) if pair[0] != "cursor"]
    # Relative to the request, so that it is valid behind every proxy (RFC 8288 section 3).
    return f'<?{urlencode([*query, ("cursor", format_cursor(cursor))])}>; rel="next"'


def read_accepted_types() -> MIMEAccept:
    """Return the media types that the client accepts, without their parameters."""
    # Werkzeug compares every name that is offered, so JSON lines have one name here.
    return MIMEAccept(
        (_OWN_NAMES.get(name := _read_name(media_type), name), quality)
        for media_type, quality in request.accept_mimetypes
    )


def _read_name(media_type: str) -> str:
    # Werkzeug would take a parameter such as the charset for another format.
    return media_type.partition(";")[0].strip().lower()


def _name_lines() -> Format:
    """Return JSON lines under the name that the client prefers: clients check it."""
    names = map(_read_name, request.accept_mimetypes.values())
    return next((LINES_BY_TYPE[name] for name in names if name in LINES_BY_TYPE), LINES)


def _wants_mark() -> bool:
    accepted = map(parse_options_header, request.accept_mimetypes.values())
    return any(
        name.lower() == CSV.media_type and options.get("bom") == "1" for name, options in accepted
    )
