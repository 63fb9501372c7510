"""Admission: a request is checked when its headers have arrived, before its body is received.

The server asks for the check. Without it, for example under another WSGI server, the views make the
same checks when the body has arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, current_app, request

from ..auth import bearer
from .body import check_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REFUSAL = "bytelog.refusal"
"""The member of the WSGI environment that holds the error of a refused request."""


def init_app(app: Flask) -> None:
    """Refuse the requests whose environment holds an error."""
    app.before_request(_raise_refusal)


def check_head(app: Flask, environ: WSGIEnvironment, *, may_wait: bool) -> bool:
    """Check a request's route, method, key, scope and headers; return whether its body is read.

    A view whose requests are not those of the API has a function `check_head` of its own.
    Stores the access that the key grants in the environment. Raises the exceptions of the views,
    and MustWait if the access is not known yet and the caller may not wait for it.
    """
    with app.request_context(environ):
        if request.routing_exception:
            raise request.routing_exception
        if request.method == "OPTIONS" or request.endpoint is None:
            return False
        view = current_app.view_functions[request.endpoint]
        if check := getattr(view, "check_head", None):
            check(may_wait=may_wait)
            return True
        scope = bearer.required_scope(view)
        if scope:
            bearer.authorize(scope, may_wait=may_wait)
        if request.method != "POST":
            return False
        check_headers()
        return True


def _raise_refusal() -> None:
    if error := request.environ.get(REFUSAL):
        raise error
