"""Response headers for browsers: which pages may call the API, and how to treat a response."""

from __future__ import annotations

import re
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.wrappers import Response

from ..config import SetupError
from .errors import DETAIL

PREFLIGHT_SECONDS = 600
"""How long a browser caches a preflight response; Chromium allows at most 7,200."""


SECURITY_HEADERS = {
    # Keep browsers from running stored text as a script or showing it as a page.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Keep events out of the caches of proxies and browsers.
    "Cache-Control": "no-store",
    # URLs contain trace ids: do not send them to other sites.
    "Referrer-Policy": "no-referrer",
}

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of bytelog's own pages: they load from the server alone."""

_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def init_app(app: Flask) -> None:
    """Add the headers to every response; raises SetupError for an invalid origin."""
    app.after_request(_add_security_headers)
    if origins := _parse_origins(app.config["BYTELOG_CORS_ORIGINS"] or ""):
        from flask_cors import CORS

        CORS(
            app,
            origins=origins,
            methods=["GET", "POST"],
            expose_headers=["Allow", DETAIL, "Link", "Retry-After", "WWW-Authenticate"],
            max_age=PREFLIGHT_SECONDS,
        )


def _add_security_headers(response: Response) -> Response:
    if not response.response:
        return response  # an empty body has nothing to run, show or cache
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code == HTTPStatus.PERMANENT_REDIRECT:
        _remove_host(response)
    return response


def _remove_host(response: Response) -> None:
    """Redirect to a path: bytelog does not know the scheme that the client of a proxy uses."""
    target = urlsplit(response.location or "")
    response.location = target._replace(scheme="", netloc="").geturl()


def _parse_origins(text: str) -> list[str | re.Pattern[str]]:
    """Return patterns that match each origin exactly; `*` matches all (RFC 6454 section 5)."""
    origins = text.replace(",", " ").split()
    # flask-cors takes text with a bracket, as IPv6 addresses have, for a regular expression.
    return [
        origin if origin == "*" else re.compile(re.escape(_normalize_origin(origin)) + r"\Z")
        for origin in origins
    ]


def _normalize_origin(text: str) -> str:
    """Return an origin as browsers send it, without a default port (RFC 6454 section 6.2)."""
    try:
        origin = urlsplit(text.lower())
        port = origin.port
        if not _ORIGIN.fullmatch(text.lower()) or port == 0:
            raise ValueError
        host = f"[{ip_address(origin.hostname or '')}]" if "[" in text else origin.hostname
    except ValueError as error:
        raise SetupError(
            f"BYTELOG_CORS_ORIGINS contains {text!r}, which is not an origin. "
            "Write it like https://shop.example, without a path, or `*` for all."
        ) from error
    is_default = port in (None, _DEFAULT_PORTS[origin.scheme])
    return f"{origin.scheme}://{host}" + ("" if is_default else f":{port}")
