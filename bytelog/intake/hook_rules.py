"""The rules of BYTELOG_HOOKS: what the fields of a webhook's event are, and who may send it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import SetupError
from ..sources.mappings import Source
from .signatures import ENCODINGS, Signature

HEADER = "header:"
"""Begins the path of a field that is in a header, such as `header:X-GitHub-Event`."""

FIELDS = ("id", "name", "trace_id", "date")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_TEXTS = ("header", "secret")


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook; without a signature, its sender needs a key, which has the project."""

    source: Source
    headers: tuple[str, ...]
    project: str
    signature: Signature | None


def parse(hooks: Mapping[str, Any]) -> dict[str, Hook]:
    """Return the hooks by name; raises SetupError."""
    return {name: _parse_hook(name, rules) for name, rules in hooks.items()}


def _parse_hook(name: Any, rules: Any) -> Hook:
    place = f"BYTELOG_HOOKS[{name!r}]"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SetupError(
            f"{place} must have a name of letters, digits, hyphens and underscores: it is the end "
            "of the path /hooks/NAME."
        )
    _check_members(place, rules, (*FIELDS, "project", "signature"))
    paths = {field: _parse_paths(f"{place}[{field!r}]", rules.get(field, ())) for field in FIELDS}
    headers = [path for each in paths.values() for path in each if path.startswith(HEADER)]
    project = rules.get("project", "default")
    _check_text(f"{place}['project']", project)
    signature = rules.get("signature")
    if signature is None and "project" in rules:
        raise SetupError(
            f"{place} has a project, but no signature. Without a signature, the sender needs a "
            "key, which belongs to a project: remove `project`, or add `signature`."
        )
    return Hook(
        Source(
            id=paths["id"],
            name=paths["name"],
            trace_id=paths["trace_id"],
            date=paths["date"],
            defaults={"name": name},
        ),
        tuple(dict.fromkeys(headers)),
        project,
        None if signature is None else _parse_signature(f"{place}['signature']", signature),
    )


def _parse_paths(place: str, paths: Any) -> tuple[str, ...]:
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list | tuple):
        raise SetupError(f"{place} must be a path such as `data.id`, or a list of paths.")
    for path in paths:
        _check_text(place, path)
    return tuple(paths)


def _parse_signature(place: str, rules: Any) -> Signature:
    _check_members(place, rules, Signature.__slots__)
    for name in _TEXTS:
        _check_text(f"{place}[{name!r}]", rules.get(name))
    if not isinstance(rules.get("prefix", ""), str):
        raise SetupError(f"{place}['prefix'] must be text, such as `sha256=`.")
    if rules.get("encoding", "hex") not in ENCODINGS:
        raise SetupError(f"{place}['encoding'] must be one of {', '.join(ENCODINGS)}.")
    if not isinstance(rules.get("timestamped", False), bool):
        raise SetupError(f"{place}['timestamped'] must be True or False.")
    return Signature(**rules)


def _check_members(place: str, rules: Any, names: Iterable[str]) -> None:
    if not isinstance(rules, Mapping):
        raise SetupError(f"{place} must be a mapping with some of {', '.join(names)}.")
    for name in rules:
        if name not in names:
            raise SetupError(f"{place} has {name!r}. Use only {', '.join(names)}.")


def _check_text(place: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise SetupError(f"{place} must be text that is not empty.")
