"""Which formats are on. Those of others are on in `bytelog serve`, and off in other servers.

Their paths, such as `/v1/batch`, are those that the SDKs use. A host application may have the same.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from ..config import SetupError
from . import cloudevents, hooks, otlp, posthog, segment, seq

FORMATS: dict[str, Callable[[Flask], None]] = {
    "cloudevents": cloudevents.init_app,
    "otlp": otlp.init_app,
    "segment": segment.init_app,
    "posthog": posthog.init_app,
    "hooks": hooks.init_app,
    "seq": seq.init_app,
}
"""The formats, by their names in BYTELOG_INTAKE."""

NONE = "off"


def init_app(app: Flask) -> None:
    """Add the endpoints of the formats in BYTELOG_INTAKE; raises SetupError."""
    for name in _parse(app.config["BYTELOG_INTAKE"] or NONE):
        FORMATS[name](app)


def init_server(app: Flask) -> None:
    """Add the endpoints of all formats, unless BYTELOG_INTAKE says which ones are on."""
    if app.config["BYTELOG_INTAKE"] is None:
        for add in FORMATS.values():
            add(app)


def _parse(text: str) -> list[str]:
    names = text.replace(",", " ").split()
    if names == [NONE]:
        return []
    for name in names:
        if name not in FORMATS:
            raise SetupError(
                f"BYTELOG_INTAKE contains {name[:40]!r}, which is not a format. Choose some of "
                f"{', '.join(FORMATS)}, separated by commas, or `{NONE}` alone."
            )
    return list(dict.fromkeys(names))
