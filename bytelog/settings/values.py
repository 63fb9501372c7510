"""The values of settings: the type of each, and what it may be."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ..config import MAX_NUMBER, NUMBERS, RANGES, SWITCHES, SetupError

_KEYS = ("BYTELOG_API_KEY", "BYTELOG_METRICS_KEY")

_WHITE_SPACE = " \t\r\n"

_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5

# Nothing that has a meaning in a shell or in a string of a program: samples contain the URL.
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*/?")

_SWITCH_WORDS = {
    **dict.fromkeys(("true", "on", "yes", "1"), True),
    **dict.fromkeys(("false", "off", "no", "0"), False),
}


def parse(name: str, value: Any) -> Any:
    """Return the value of a setting in its own type, None if it is empty.

    Raises SetupError for a value that cannot be meant.
    """
    if name in _KEYS:
        _check_key(name, value)
    value = trim(value)
    if value is None:
        return None
    if name in NUMBERS:
        return _parse_number(name, value)
    if name in SWITCHES:
        return _parse_switch(name, value)
    if name == "BYTELOG_HOOKS":
        return _parse_object(name, value)
    if not isinstance(value, str | os.PathLike):
        raise SetupError(f"{name} must be text; put it in quotes.")
    if name == "BYTELOG_URL" and not _URL.fullmatch(str(value)):
        raise SetupError(f"{name} must be a URL like https://log.example, not {value!r}.")
    if name == "BYTELOG_WEBHOOK_SECRET":
        _check_webhook_secret(str(value))
    return value


def trim(value: Any) -> Any:
    """Return a text without white space around it, as files with secrets have; None if empty."""
    return (value.strip(_WHITE_SPACE) or None) if isinstance(value, str) else value


def _check_key(name: str, value: Any) -> None:
    # A key that no header can contain would make a server that rejects everybody.
    if not isinstance(value, str):
        return
    text = value.strip(_WHITE_SPACE)
    if value and not text:
        raise SetupError(f"{name} is only white space. Set a key, or unset {name}.")
    if _NOT_IN_HEADERS.search(text):
        raise SetupError(
            f"{name} contains a line end or another control character, which no HTTP header can "
            "contain. Use a key of one line."
        )


def _check_webhook_secret(secret: str) -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    prefix, _, text = secret.partition("_")
    try:
        size = len(b64decode(text, validate=True)) if prefix == "whsec" else 0
    except ValueError:
        size = 0
    if not 24 <= size <= 64:
        raise SetupError(
            "BYTELOG_WEBHOOK_SECRET must be `whsec_` and 24 to 64 random bytes in base64. This "
            'command creates one: echo "whsec_$(head -c 32 /dev/urandom | base64)"'
        )


def _parse_number(name: str, value: Any) -> int:
    lowest, highest = RANGES.get(name, (1, MAX_NUMBER))
    text = str(value)
    is_short = text.isdecimal() and len(text) <= len(str(MAX_NUMBER))
    if not is_short or not lowest <= int(text) <= highest:
        raise SetupError(
            f"{name} must be a whole number from {lowest} to {highest}, not {text[:40]!r}."
        )
    return int(text)


def _parse_object(name: str, value: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SetupError(f"{name} is not JSON: {error}. Write a JSON object.") from error
    if not isinstance(value, Mapping):
        raise SetupError(f"{name} must be a mapping in config.py, or a JSON object.")
    return value


def _parse_switch(name: str, value: Any) -> bool:
    switch = _SWITCH_WORDS.get(str(value).lower())
    if switch is None:
        raise SetupError(f"{name} must be true or false, not {str(value)[:40]!r}.")
    return switch
