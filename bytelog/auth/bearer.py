"""The key of a request, and the access that it grants (RFC 6750).

An application that embeds bytelog may decide on access itself, with the hook `authenticate`.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, cast

from flask import Flask, current_app, request
from werkzeug.wrappers import Response

from ..storage.database import backend_of, db
from ..storage.errors import StorageError
from ..storage.models import DEFAULT_PROJECT_ID
from . import keys, projects, rate_limit, sign_on
from .cache import Cache
from .credentials import read_key, read_token
from .keys import Grant
from .refusals import Denied, MustWait

GRANT = "bytelog.grant"
"""The member of the WSGI environment that holds the access granted before the body arrived, and
until when it is trusted."""

GRANT_SECONDS = 0.25
"""How long that access is trusted, in addition to CACHE_SECONDS."""

log = logging.getLogger("bytelog")

P = ParamSpec("P")
View = Callable[Concatenate[Grant, P], Response]

_CONFIGURED_GRANT = Grant(0, DEFAULT_PROJECT_ID, frozenset(keys.DEFAULT_SCOPES))


@dataclass(frozen=True, slots=True)
class Access:
    """The access that the hook `authenticate` grants: scopes such as `read` in a project.

    `project` is a name; a project that does not exist is created. BYTELOG_RATE_LIMIT applies to
    each `user` of a project, or without users to the whole project.
    """

    project: str
    scopes: Collection[str]
    user: str = ""


Authenticate = Callable[[str | None, dict[str, Any]], Access | None]
"""Takes the bearer token of a request, or None if it has none, and the WSGI environment.
Returns the access to grant, or None to refuse it."""


def init_app(app: Flask, authenticate: Authenticate | None) -> None:
    """Authorize requests by the hook, or without one by keys and by the sign-on proxy."""
    app.extensions["bytelog.grant"] = (
        partial(_grant_from_hook, authenticate) if authenticate else _grant_from_key
    )
    app.extensions["bytelog.keys"] = Cache(_look_up)
    app.extensions["bytelog.may_lack_keys"] = not (authenticate or app.config["BYTELOG_API_KEY"])


def requires(scope: str) -> Callable[[View[P]], Callable[P, Response]]:
    """Restrict a view to keys with a scope; its first argument is the grant."""

    def decorate(view: View[P]) -> Callable[P, Response]:
        @wraps(view)
        def call_view(*args: P.args, **kwargs: P.kwargs) -> Response:
            return view(authorize(scope), *args, **kwargs)

        call_view.required_scope = scope  # type: ignore[attr-defined]
        return call_view

    return decorate


def required_scope(view: Callable[..., Any]) -> str | None:
    """Return the scope that a view requires, or None if it requires no key."""
    return getattr(view, "required_scope", None)


def authorize(scope: str, *, may_wait: bool = True) -> Grant:
    """Return the access of the request, and count the request once for the rate limit.

    Raises Denied, TooManyRequests, or MustWait if the caller may not wait.
    """
    grant, trusted_until = request.environ.get(GRANT, (None, 0.0))
    is_counted = grant is not None
    if time.monotonic() >= trusted_until:
        grant = _find_grant(may_wait)
        request.environ[GRANT] = (grant, time.monotonic() + GRANT_SECONDS)
    if not is_counted:
        rate_limit.count(grant.holder)
    if scope not in grant.scopes:
        detail = f"The API key lacks the scope `{scope}`."
        raise Denied(HTTPStatus.FORBIDDEN, detail, error="insufficient_scope", scope=scope)
    return cast("Grant", grant)


def authorize_again(scope: str) -> Grant:
    """Return the access that a request has by now; raises Denied if it has none any more."""
    grant, _ = request.environ[GRANT]
    request.environ[GRANT] = (grant, 0.0)
    return authorize(scope)


def _find_grant(may_wait: bool) -> Grant:
    grant = current_app.extensions["bytelog.grant"](may_wait)
    if grant is None:
        if may_wait:
            _warn_without_keys()
        raise _create_unauthorized()
    return cast("Grant", grant)


def _warn_without_keys() -> None:
    """Log once that no key exists, when the first request is refused for that.

    At the start, an application that only records within its own process would be warned too.
    """
    if not current_app.extensions["bytelog.may_lack_keys"]:
        return
    with suppress(StorageError):
        if not keys.list_all():
            log.warning(
                "every request gets 401, because there is no API key in %s. Create one with "
                "`bytelog keys create NAME`, or set BYTELOG_API_KEY.",
                backend_of(db.engine).location(),
            )
        current_app.extensions["bytelog.may_lack_keys"] = False


def _create_unauthorized() -> Denied:
    if not request.headers.get("Authorization"):
        return Denied(
            HTTPStatus.UNAUTHORIZED, "Send the header `Authorization: Bearer YOUR_API_KEY`."
        )
    rate_limit.count_wrong_key(request.remote_addr or "")
    detail = "The API key is malformed, unknown, expired or revoked."
    return Denied(HTTPStatus.UNAUTHORIZED, detail, error="invalid_token")


def _grant_from_hook(authenticate: Authenticate, may_wait: bool) -> Grant | None:
    if not may_wait:
        raise MustWait
    # Not the password of HTTP Basic: it may be that of a user of the host.
    access = authenticate(read_token(), request.environ)
    if access is None:
        return None
    project_id = projects.get_or_create(access.project)
    return Grant((access.project, access.user), project_id, frozenset(access.scopes))


def _grant_from_key(may_wait: bool) -> Grant | None:
    # A request with a key is judged by that alone: a wrong one never gets the access of a user.
    if "Authorization" not in request.headers:
        return sign_on.find_grant(may_wait)
    if (key := read_key()) is None:
        return None
    return cast("Cache[str, Grant]", current_app.extensions["bytelog.keys"]).find(key, may_wait)


def _look_up(key: str) -> Grant | None:
    configured = current_app.config["BYTELOG_API_KEY"]
    if configured and hmac.compare_digest(keys.digest(key), keys.digest(configured)):
        return _CONFIGURED_GRANT
    return keys.find(key)
