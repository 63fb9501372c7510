"""Error responses: one format, created in one place.

`{"error": "<short text>"}`, or for a client that prefers `application/problem+json` the same
with the members of RFC 9457 and `errors`, which names each bad field. A header has the reason too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask, Response, current_app, request
from marshmallow import ValidationError
from marshmallow.exceptions import SCHEMA
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Gone,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    UnprocessableEntity,
)

from ..config import MAX_REPORTED_ERRORS, RETRY_AFTER_SECONDS
from ..queries.selection import CursorGone
from ..storage.errors import ReadInterrupted, StorageBusy, StorageError, StorageFull
from ..storage.idempotency import IdempotencyKeyReused, RequestInProgress
from . import rejections
from .bounds import OutsideBound
from .idempotency import InvalidHeader
from .parameters import InvalidParameters

PROBLEM = "application/problem+json"

DETAIL = "Bytelog-Detail"
"""The header with the reason of an error, for clients that get only the short text."""

MAX_DETAIL_LENGTH = 1000
"""Maximum length of that header: proxies limit the headers of a response to a few kilobytes."""

# All that is printable, except `%`, which begins what is encoded.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class InsufficientStorage(HTTPException):
    """The disk is full."""

    code = 507
    description = "The server's disk is full. Nothing was stored; try again when there is space."


def init_app(app: Flask) -> None:
    """Send every error of the application in the API's format."""
    rejections.init_app(app)
    app.register_error_handler(HTTPException, error_response)
    app.register_error_handler(OutsideBound, _handle_outside_bound)
    app.register_error_handler(ValidationError, _handle_invalid)
    app.register_error_handler(StorageError, _handle_storage_error)
    app.register_error_handler(CursorGone, _handle_cursor_gone)
    app.register_error_handler(RequestInProgress, _handle_in_progress)
    app.register_error_handler(IdempotencyKeyReused, _handle_key_reused)
    app.register_error_handler(Exception, _handle_unexpected)


def error_response(error: HTTPException, problems: list[dict[str, str]] | None = None) -> Response:
    """Return the response for an HTTP error, with the headers that its status requires."""
    response = Response(status=error.code, headers=error.get_headers(request.environ))
    is_invalid = problems and error.code == HTTPStatus.BAD_REQUEST
    content: dict[str, Any] = {"error": "validation error" if is_invalid else error.name.lower()}
    response.mimetype = "application/json"
    if detail := _encode_detail(_explain(error, problems or [])):
        response.headers[DETAIL] = detail
    if error.code == HTTPStatus.BAD_REQUEST:
        rejections.note(detail)
    if _prefers_problem(request.accept_mimetypes):
        response.mimetype = PROBLEM
        content = _build_problem(error) | content | ({"errors": problems} if problems else {})
    response.set_data(json.dumps(content))
    return response


def describe(error: ValidationError) -> str:
    """Return each problem after the place where it is, in printable ASCII."""
    return _encode_detail(_explain(BadRequest(), _list_problems(error)))


def _explain(error: HTTPException, problems: list[dict[str, str]]) -> str:
    """Return each problem after the place where it is, or without problems the detail."""
    return " ".join(": ".join(problem.values()) for problem in problems) or error.description or ""


def _encode_detail(text: str) -> str:
    """Return the beginning of a text, percent-encoded in UTF-8 where it is not printable ASCII."""
    encoded = quote(text[:MAX_DETAIL_LENGTH], safe=_PLAIN, errors="replace")
    if len(encoded) <= MAX_DETAIL_LENGTH:
        return encoded
    # The cut may go through a character, which has several bytes, or through a byte.
    whole = unquote(re.sub("%.?$", "", encoded[:MAX_DETAIL_LENGTH]), errors="ignore")
    return quote(whole, safe=_PLAIN)


def _build_problem(error: HTTPException) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
    }


def _prefers_problem(accept: MIMEAccept) -> bool:
    is_named = PROBLEM in list(accept.values())
    return is_named and accept[PROBLEM] >= accept["application/json"] and accept[PROBLEM] > 0


def _handle_invalid(error: ValidationError) -> Response:
    detail = "The request is invalid; `errors` lists each problem."
    return error_response(BadRequest(detail), _list_problems(error))


def _list_problems(error: ValidationError) -> list[dict[str, str]]:
    messages: dict[Any, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
    problems = islice(_list_messages(messages), MAX_REPORTED_ERRORS)
    return [{**_locate(error, path), "detail": message} for path, message in problems]


def _handle_outside_bound(error: OutsideBound) -> Response:
    return error_response(error, error.problems)


def _list_messages(messages: dict[Any, Any], *path: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    for name, details in messages.items():
        inner_path = path if name == SCHEMA else (*path, name)
        if isinstance(details, dict):
            yield from _list_messages(details, *inner_path)
            continue
        for message in details:
            yield inner_path, message


def _locate(error: ValidationError, path: tuple[Any, ...]) -> dict[str, str]:
    match error:
        case InvalidHeader():
            return {"header": ".".join(path)}
        case InvalidParameters():
            return {"parameter": ".".join(path)}
    names = (str(name).replace("~", "~0").replace("/", "~1") for name in path)  # RFC 6901
    return {"pointer": "#" + "".join(f"/{quote(name, safe='~')}" for name in names)}


def _handle_storage_error(error: StorageError) -> Response:
    current_app.logger.error("%s: %s", type(error).__name__, error)
    if isinstance(error, StorageFull):
        return error_response(InsufficientStorage())
    if isinstance(error, ReadInterrupted):
        detail = "Reading took too long; ask for fewer days, or use fewer filters."
        return error_response(ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS))
    cause = "is busy" if isinstance(error, StorageBusy) else "failed"
    detail = f"The database {cause}. Nothing was stored; try again."
    return error_response(ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS))


def _handle_cursor_gone(_: CursorGone) -> Response:
    detail = (
        "The event of this cursor was lost when a backup was restored, so the events after it are "
        "unknown. Start again without the cursor, or with an earlier one."
    )
    return error_response(Gone(detail))


def _handle_in_progress(_: RequestInProgress) -> Response:
    detail = "The first request with this Idempotency-Key is still in progress; try again."
    return error_response(Conflict(detail))


def _handle_key_reused(_: IdempotencyKeyReused) -> Response:
    detail = "This Idempotency-Key was used with another body; use a new key for each request."
    return error_response(UnprocessableEntity(detail))


def _handle_unexpected(error: Exception) -> Response:
    current_app.logger.exception("unexpected error")
    return error_response(InternalServerError())
