"""Who may do what: the bearer token of a request, and what it opens (RFC 6750)."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, cast

from flask import Flask, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from . import keys, rate_limit
from .config import KEY_CACHE_SECONDS, KEY_CACHE_SIZE
from .keys import Access
from .models import DEFAULT_PROJECT_ID

P = ParamSpec("P")
View = Callable[Concatenate[int, P], Response]

_configured_access = Access(0, DEFAULT_PROJECT_ID, frozenset(keys.SCOPES))


class Denied(HTTPException):
    """The request carries no key, a bad one, or one without the scope (RFC 6750 section 3)."""

    def __init__(self, code: HTTPStatus, description: str, **attributes: str) -> None:
        super().__init__(description)
        self.code = code
        values = {"realm": "bytelog", **attributes}
        self._challenge = "Bearer " + ", ".join(f'{name}="{it}"' for name, it in values.items())

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the answer, the challenge among them."""
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]


class KeyCache:
    """The keys that were valid a moment ago, so that most requests ask no database."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Access, float]] = {}

    def find(self, key: str) -> Access | None:
        """Return what a key opens, None if it opens nothing."""
        access, trusted_until = self._known.get(key, (None, 0.0))
        if time.monotonic() < trusted_until:
            return access
        access = _look_up(key)
        self._known.pop(key, None)
        if access:
            if len(self._known) >= KEY_CACHE_SIZE:
                self._known.clear()
            self._known[key] = (access, time.monotonic() + KEY_CACHE_SECONDS)
        return access


def init_app(app: Flask) -> None:
    """Give the application its memory of keys."""
    app.extensions["bytelog.keys"] = KeyCache()


def requires(scope: str) -> Callable[[View[P]], Callable[P, Response]]:
    """Open a view to keys with a scope, and give it the key's project as its first argument."""

    def decorate(view: View[P]) -> Callable[P, Response]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
            return view(_authorized(scope).project_id, *args, **kwargs)

        return guarded

    return decorate


def _authorized(scope: str) -> Access:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise Denied(
            HTTPStatus.UNAUTHORIZED, "Send the header `Authorization: Bearer YOUR_API_KEY`."
        )
    # WSGI hands over bytes as Latin-1 (PEP 3333).
    key = token.strip(" \t").encode("latin-1").decode("utf-8", "surrogateescape")
    access = _cache().find(key) if scheme.lower() == "bearer" else None
    if access is None:
        detail = "The API key is malformed, unknown, expired or revoked."
        raise Denied(HTTPStatus.UNAUTHORIZED, detail, error="invalid_token")
    rate_limit.count(access.key_id)
    if scope not in access.scopes:
        detail = f"The API key lacks the scope `{scope}`."
        raise Denied(HTTPStatus.FORBIDDEN, detail, error="insufficient_scope", scope=scope)
    return access


def _cache() -> KeyCache:
    return cast("KeyCache", current_app.extensions["bytelog.keys"])


def _look_up(key: str) -> Access | None:
    configured = current_app.config["BYTELOG_API_KEY"]
    if configured and hmac.compare_digest(keys.digest(key), keys.digest(configured)):
        return _configured_access
    return keys.find(key)
