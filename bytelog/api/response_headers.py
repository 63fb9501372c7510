"""What browsers are told: which pages may call the API, and what to make of an answer."""

from __future__ import annotations

import re

from flask import Flask
from werkzeug.wrappers import Response

from ..config import SetupError

PREFLIGHT_SECONDS = 600
"""How long a browser caches a preflight response; Chromium allows at most 7,200."""


SECURITY_HEADERS = {
    # Stored text never runs as a script or a page, whatever a browser takes it for.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Events stay out of the caches on the way, and on disks.
    "Cache-Control": "no-store",
    # Trace ids, which are in addresses, are not told to other sites.
    "Referrer-Policy": "no-referrer",
}

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of bytelog's own pages: all that they load is the server's."""

_ORIGIN = re.compile(r"https?://[\w.-]+(:\d+)?|https?://\[[0-9a-fA-F:]+\](:\d+)?|\*", re.ASCII)


def init_app(app: Flask) -> None:
    """Add the headers to every answer; raises SetupError for an origin that is none."""
    app.after_request(_protect)
    if origins := _origins(app.config["BYTELOG_CORS_ORIGINS"] or ""):
        from flask_cors import CORS

        CORS(
            app,
            origins=origins,
            methods=["GET", "POST"],
            expose_headers=["Allow", "Link", "Retry-After", "WWW-Authenticate"],
            max_age=PREFLIGHT_SECONDS,
        )


def _protect(response: Response) -> Response:
    if not response.response:
        return response  # nothing in it to run, to show or to keep
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _origins(text: str) -> list[str]:
    origins = text.replace(",", " ").split()
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SetupError(
                f"BYTELOG_CORS_ORIGINS names {origin!r}, which is no origin. "
                "Write it like https://shop.example, without a path, or `*` for all."
            )
    return origins
