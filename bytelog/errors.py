"""Errors as the API tells them: one shape, made in one place.

`{"error": "<short text>"}`, or for a client that prefers `application/problem+json` the same
with the members of RFC 9457 and `errors`, which names each bad field.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, ServiceUnavailable
from werkzeug.wrappers import Response

from .config import RETRY_AFTER_SECONDS
from .db import StorageBusy, StorageError, StorageFull

PROBLEM = "application/problem+json"


class InsufficientStorage(HTTPException):
    """The disk is full."""

    code = 507
    description = "The server's disk is full. Nothing was stored; try again when there is room."


def init_app(app: Flask) -> None:
    """Answer every error of the application in the API's way."""
    app.register_error_handler(HTTPException, answer)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(StorageError, _not_stored)
    app.register_error_handler(Exception, _unexpected)


def answer(error: HTTPException, problems: list[dict[str, str]] | None = None) -> Response:
    """Return the answer for an HTTP error, with the headers that the error owes."""
    response = Response(status=error.code, headers=error.get_headers(request.environ))
    short = "validation error" if problems else error.name
    response.mimetype = "application/json"
    details: dict[str, Any] = {}
    if request.accept_mimetypes.best_match(["application/json", PROBLEM]) == PROBLEM:
        response.mimetype = PROBLEM
        details = {
            "type": "about:blank",
            "title": error.name,
            "status": response.status_code,
            "detail": error.description,
        }
        details |= {"errors": problems} if problems else {}
    response.set_data(body(short, details))
    return response


def body(short: str, details: dict[str, Any] | None = None) -> str:
    """Return the text of an error's answer."""
    return json.dumps({"error": short.lower(), **(details or {})})


def _invalid(error: ValidationError) -> Response:
    messages: dict[str, list[str]] = error.normalized_messages()  # type: ignore[no-untyped-call]
    where, root = ("pointer", "#/") if request.method == "POST" else ("parameter", "")
    problems = [
        {where: (root + str(name)).rstrip("/"), "detail": detail}
        for name, details in messages.items()
        for detail in details
    ]
    return answer(BadRequest("The request was not understood; `errors` says why."), problems)


def _not_stored(error: StorageError) -> Response:
    current_app.logger.error("%s: %s", type(error).__name__, error)
    if isinstance(error, StorageFull):
        return answer(InsufficientStorage())
    cause = "is busy" if isinstance(error, StorageBusy) else "failed"
    detail = f"The database {cause}. Nothing was stored; try again."
    return answer(ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS))


def _unexpected(error: Exception) -> Response:
    current_app.logger.exception("unexpected error")
    return answer(InternalServerError())
