"""The requests of other systems' SDKs: a key in a header or in the body, and a body of any type."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from flask import Blueprint, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import LengthRequired
from werkzeug.wrappers import Response

from ..api.body import check_length, receive_body
from ..api.errors import DETAIL
from ..auth.bearer import authorize
from ..auth.keys import Grant

T = TypeVar("T")
View = Callable[[Grant, bytes], Response]
Decorator = Callable[[View], Callable[[], Response]]


def takes_messages(read_key: Callable[[bytes], str], limit: int) -> Decorator:
    """Restrict a view to keys with the scope `write`; its arguments are the grant and the body.

    The key is in the header `Authorization`, or `read_key` returns it from the body, "" if there is
    none. A body without a key in the header has at most `limit` bytes, also decompressed: it must
    be received before anybody knows who sent it.
    """

    def check_head(*, may_wait: bool) -> None:
        if "Authorization" in request.headers:
            authorize("write", may_wait=may_wait)
            check_length(current_app.config["BYTELOG_BATCH_BYTES"])
        else:
            check_stranger(limit)

    def receive() -> bytes:
        if "Authorization" in request.headers:
            return _receive_batch()
        body = receive_body(limit)
        _use_key(read_key(body))
        return body

    return _restrict(check_head, receive)


def takes_bodies(find_key: Callable[[], str] = lambda: "") -> Decorator:
    """Restrict a view to keys with the scope `write`; its arguments are the grant and the body.

    The key is in the header `Authorization`, or else `find_key` returns it from another header or
    from the query. So bytelog knows the sender before it receives the body.
    """

    def check_head(*, may_wait: bool) -> None:
        if "Authorization" not in request.headers:
            _use_key(find_key())
        authorize("write", may_wait=may_wait)
        check_length(current_app.config["BYTELOG_BATCH_BYTES"])

    return _restrict(check_head, _receive_batch)


def check_stranger(limit: int) -> None:
    """Check the headers of a request whose body must be received before its sender is known.

    Raises LengthRequired for a body of unknown length, and the exceptions of `check_length`.
    """
    if request.content_length is None:
        raise LengthRequired("Send the key in the header Authorization, or send Content-Length.")
    check_length(limit)


def decode(body: bytes, kind: type[T]) -> T:
    """Return the members of a JSON object that a Struct has; raises ValidationError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValidationError(f"Not valid: {error}.") from error


def shape_errors(blueprint: Blueprint, build: Callable[[int, str, str], dict[str, Any]]) -> None:
    """Send the errors of a blueprint in the shape that its SDKs read.

    `build` takes the status, its name, such as `not found`, and the reason.
    """

    @blueprint.after_request
    def reshape(response: Response) -> Response:
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            name = HTTPStatus(response.status_code).phrase.lower()
            detail = unquote(response.headers.get(DETAIL, name))
            response.set_data(json.dumps(build(response.status_code, name, detail)))
            response.mimetype = "application/json"
        return response


def _restrict(check_head: Callable[..., None], receive: Callable[[], bytes]) -> Decorator:
    """Return a decorator of views, which checks the headers before the body is received."""

    def decorate(view: View) -> Callable[[], Response]:
        @wraps(view)
        def call_view() -> Response:
            check_head(may_wait=True)
            body = receive()
            return view(authorize("write"), body)

        call_view.check_head = check_head  # type: ignore[attr-defined]
        return call_view

    return decorate


def _receive_batch() -> bytes:
    return receive_body(current_app.config["BYTELOG_BATCH_BYTES"])


def _use_key(key: str) -> None:
    """Let the request be authorized as if its key were a bearer token."""
    if key:
        # WSGI passes header bytes as Latin-1 (PEP 3333).
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {key.encode().decode('latin-1')}"
