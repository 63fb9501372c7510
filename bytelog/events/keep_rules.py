"""How long events are kept: the rules of BYTELOG_KEEP, such as `365d, shop=90d, shop/click=7d`.

A rule is for all events, for a project, or for the events of a project with one name. The most
specific rule that matches an event applies. A name that contains a comma, an equals sign, a slash,
a double quote or white space is in double quotes, and a double quote in it is doubled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from flask import Flask, current_app

from .. import timestamps
from ..auth import projects
from ..config import MAX_NUMBER, SetupError

OTHERS = ""
"""Stands for all names of a project that have no rule; an event's name is never empty."""

DaysByName = Mapping[str, int]
"""The days for which a project's events are kept, by name and for OTHERS."""

_NAME = r'"(?:[^"]|"")+"|[^\s,=/"]+'
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')  # An even number of quotes follows it.
_RULE = re.compile(
    rf'(?:(?P<project>{_NAME})\s*(?:/\s*(?P<name>{_NAME})\s*)?=\s*)?(?P<age>[^\s,=/"]+)'
)
_EXAMPLE = "Write rules like 365d, shop=90d, shop/click=7d"


class OldestDates:
    """The dates before which no event of a project is kept, by the event's name."""

    def __init__(self, days: DaysByName) -> None:
        self._days = days
        self._dates: dict[int, str] = {}

    def find(self, name: str) -> str:
        """Return the date as text, "" if events with this name are kept forever."""
        days = self._days.get(name) or self._days.get(OTHERS)
        if not days:
            return ""
        if days not in self._dates:
            self._dates[days] = timestamps.format_utc(timestamps.days_ago(days))
        return self._dates[days]


class KeepRules:
    """The rules for all projects; `longest` is the longest time if every event has a rule."""

    def __init__(self, days: Mapping[tuple[str, str], int]) -> None:
        self._general = {OTHERS: days["", OTHERS]} if ("", OTHERS) in days else {}
        self.projects: dict[str, dict[str, int]] = {}
        for (project, name), number in days.items():
            if project:
                self.projects.setdefault(project, dict(self._general))[name] = number
        self.longest = max(days.values()) if self._general else None

    def find(self, project: str) -> DaysByName:
        """Return the rules for a project; it is empty if all events are kept forever."""
        return self.projects.get(project, self._general)

    def find_oldest(self, project: str) -> OldestDates | None:
        """Return the oldest dates in a project, None if all events are kept forever."""
        days = self.find(project)
        return OldestDates(days) if days else None


def init_app(app: Flask) -> None:
    """Read the rules; raises SetupError."""
    days = parse(app.config["BYTELOG_KEEP"] or "")
    if number := app.config["BYTELOG_KEEP_DAYS"]:
        if ("", OTHERS) in days:
            raise SetupError(
                "BYTELOG_KEEP and BYTELOG_KEEP_DAYS both have a rule for all events. Remove one."
            )
        days["", OTHERS] = number
    app.extensions["bytelog.keep_rules"] = KeepRules(days) if days else None


def current_rules() -> KeepRules | None:
    """Return the rules of the current application, None if it has none."""
    return cast("KeepRules | None", current_app.extensions["bytelog.keep_rules"])


def find_oldest(project: str) -> OldestDates | None:
    """Return the oldest dates in a project, None if all events are kept forever."""
    rules = current_rules()
    return rules.find_oldest(project) if rules else None


def find_oldest_by_id(project_id: int) -> OldestDates | None:
    """Return the oldest dates in the project with this id; raises StorageError."""
    rules = current_rules()
    if rules is None:
        return None
    return rules.find_oldest(projects.find_name(project_id) if rules.projects else "")


def parse(text: str) -> dict[tuple[str, str], int]:
    """Return the days of each rule by project and name, "" for all; raises SetupError."""
    if text.count('"') % 2:
        raise SetupError(f"BYTELOG_KEEP has a double quote that is not closed. {_EXAMPLE}.")
    rules: dict[tuple[str, str], int] = {}
    for part in _COMMA.split(text) if text else ():
        _add_rule(part.strip(), rules)
    return rules


def _add_rule(text: str, rules: dict[tuple[str, str], int]) -> None:
    if not text:
        raise SetupError("BYTELOG_KEEP has an empty rule. Remove the comma beside it.")
    match = _RULE.fullmatch(text)
    if match is None:
        raise SetupError(
            f"BYTELOG_KEEP has a rule that bytelog cannot read: {text[:80]!r}. {_EXAMPLE}, and put "
            "a name with a comma, an equals sign, a slash or a space in double quotes."
        )
    target = _read_name(match["project"]), _read_name(match["name"])
    if target in rules:
        raise SetupError(f"BYTELOG_KEEP has two rules for {_describe(target)}. Remove one.")
    rules[target] = _parse_age(match["age"])


def _parse_age(text: str) -> int:
    number = text[:-1]
    is_short = number.isascii() and number.isdecimal() and len(number) <= len(str(MAX_NUMBER))
    if not text.endswith("d") or not is_short or not 1 <= int(number) <= MAX_NUMBER:
        raise SetupError(
            f"BYTELOG_KEEP has the age {text[:40]!r}. Write a whole number of days from 1 to "
            f"{MAX_NUMBER} with a d after it, such as 90d."
        )
    return int(number)


def _read_name(text: str | None) -> str:
    if text and text.startswith('"'):
        return text[1:-1].replace('""', '"')
    return text or ""


def _describe(target: tuple[str, str]) -> str:
    return "/".join(filter(None, target)) or "all events"
