"""The log of requests that are invalid: one line for each, and few lines in a minute."""

from __future__ import annotations

import logging
from typing import cast

from flask import Flask, current_app, request

from ..auth.bearer import GRANT
from ..auth.keys import Grant
from ..auth.rate_limit import WindowCounts

LINES_PER_MINUTE = 60
"""Lines in the log for each minute: a program that repeats a mistake must not fill the disk."""

log = logging.getLogger("bytelog")


def init_app(app: Flask) -> None:
    """Give the application its count of lines."""
    app.extensions["bytelog.rejections"] = WindowCounts(60)


def note(detail: str, outcome: str = "400") -> None:
    """Log why the request is invalid, or a part of it, if it has a valid key.

    `detail` is printable ASCII, and `outcome` tells what became of the request.
    """
    grant, _ = request.environ.get(GRANT, (None, 0.0))
    if grant is None:  # A stranger must not write to the log.
        return
    number = cast("WindowCounts", current_app.extensions["bytelog.rejections"]).add("400")
    if number <= LINES_PER_MINUTE:
        # The pattern of the path: the path itself may contain a trace id.
        path = request.url_rule.rule if request.url_rule else "?"
        log.info("%s for %s %s with %s: %s", outcome, request.method, path, _name(grant), detail)
    elif number == LINES_PER_MINUTE + 1:
        log.info("more requests got 400; the log has no more of them in this minute")


def _name(grant: Grant) -> str:
    """Return what tells an operator who sent the request, without asking the database."""
    if isinstance(grant.holder, tuple):
        return f"user {grant.holder[1]!a}"
    return f"key {grant.holder}" if grant.holder else "BYTELOG_API_KEY"
