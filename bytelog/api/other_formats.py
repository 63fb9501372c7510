"""Formats of other standards in the body of a POST of events. The packages that read them add them.

The type of the body shows the format, or a header whose name other requests do not use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Flask, current_app

from ..auth.keys import Grant

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_EXTENSION = "bytelog.other_formats"

Recorder = Callable[[Grant, bytes], None]
"""Stores the events in a body with the access of a key; raises the errors of the API."""


@dataclass(frozen=True, slots=True)
class OtherFormats:
    """What stores a body, by its media type, and by the name of a header in WSGI's form."""

    by_type: dict[str, Recorder] = field(default_factory=dict)
    by_header: dict[str, Recorder] = field(default_factory=dict)


def init_app(app: Flask) -> None:
    """Give the application an empty table of formats."""
    app.extensions[_EXTENSION] = OtherFormats()


def formats_of(app: Flask) -> OtherFormats:
    """Return the application's table of formats."""
    formats: OtherFormats = app.extensions[_EXTENSION]
    return formats


def find_recorder(environ: WSGIEnvironment, media_type: str) -> Recorder | None:
    """Return what stores a body of this type, or None if it has a format of bytelog."""
    formats = formats_of(current_app)
    if recorder := formats.by_type.get(media_type):
        return recorder
    for header, recorder in formats.by_header.items():
        if header in environ:
            return recorder
    return None
