"""The settings of an application: each with the value of the source that takes precedence."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask

from ..config import CLIENT_VARIABLES, DEFAULTS, SECRETS, SETTINGS
from .sources import PREFIX, Source, find_origin, list_sources
from .values import parse

_KNOWN = (*SETTINGS, *(f"{name}_FILE" for name in SECRETS), *CLIENT_VARIABLES)

log = logging.getLogger("bytelog")


class Setting(NamedTuple):
    """The value of a setting in its own type, None if it has none, and the name of its source."""

    value: Any
    source: str


def init_app(app: Flask, config: Mapping[str, Any]) -> None:
    """Load `config.py` in the data folder, then the environment, then `config`; later ones win.

    Raises SetupError for a value that cannot be meant.
    """
    sources = list_sources(Path(app.instance_path), config)
    for source in sources:
        app.config.from_mapping(source.values)
    settings = app.extensions["bytelog.settings"] = load(sources)
    app.config.from_mapping({name: setting.value for name, setting in settings.items()})
    app.config["MAX_CONTENT_LENGTH"] = app.config["BYTELOG_BATCH_BYTES"]
    for warning in list_warnings(sources):
        log.warning(warning)


def load(sources: Sequence[Source]) -> dict[str, Setting]:
    """Return every setting; raises SetupError for a value that cannot be meant."""
    others = sources[1:]  # The file is in the data folder, so it cannot say where that is.
    return {
        name: _load_one(name, others if name == "BYTELOG_DATA" else sources) for name in SETTINGS
    }


def _load_one(name: str, sources: Sequence[Source]) -> Setting:
    default = Setting(DEFAULTS.get(name), "default")
    origins = (find_origin(source, name) for source in reversed(sources))
    # Only the value that takes precedence is read and checked.
    origin = next(filter(None, origins), None)
    value = parse(name, origin.values[name]) if origin else None
    return default if origin is None or value is None else Setting(value, origin.name)


def list_warnings(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a sentence for each name that looks like a setting but has no effect."""
    homes = {name: source.name for source in sources for name in source.values}
    for name, home in homes.items():
        if name.startswith(PREFIX) and name not in _KNOWN:
            yield (
                f"{name} ({home}) is not a setting of bytelog and has no effect. " + _suggest(name)
            )
    file = sources[0]
    if "BYTELOG_DATA" in file.values:
        yield f"BYTELOG_DATA in {file.name} has no effect. Set it in the environment."


def _suggest(name: str) -> str:
    # The prefix, which all names share, would make every name similar to every other.
    names = [known.removeprefix(PREFIX) for known in _KNOWN]
    near = get_close_matches(name.removeprefix(PREFIX), names, 1)
    return f"Did you mean {PREFIX}{near[0]}?" if near else "`bytelog config` lists all settings."
