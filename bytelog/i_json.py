"""I-JSON (RFC 7493), the JSON that every program reads the same way.

Objects inside an event are kept as the text that was sent: decoding and encoding again would
change what Python's numbers cannot hold.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring
from typing import Any, NoReturn

from .config import MAX_DEPTH

_SPACE = r"[ \t\n\r]*"
_OPEN = re.compile(rf"{_SPACE}\{{{_SPACE}")
_QUOTE = re.compile(r'"')
_COLON = re.compile(rf"{_SPACE}:{_SPACE}")
_COMMA = re.compile(rf"{_SPACE},{_SPACE}")
_CLOSE = re.compile(rf"{_SPACE}\}}{_SPACE}")
_STRING_OR_SPACE = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\n\r]+')
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class InvalidJSON(ValueError):
    """The body is not I-JSON, or not an object; the message says where it went wrong."""


@dataclass(frozen=True, slots=True)
class ObjectText:
    """A JSON object as it was sent, without the space between its tokens."""

    text: str


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object from UTF-8; a member that is an object comes as ObjectText.

    Raises InvalidJSON for duplicate names, lone surrogates, NaN, Infinity, numbers beyond a
    double, nesting deeper than MAX_DEPTH, a byte order mark, and whatever else is not I-JSON.
    """
    try:
        text = body.decode("utf-8")
        return _unique([(name, _kept(value, raw)) for name, value, raw in _members(text)])
    except RecursionError as error:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise InvalidJSON(str(error)) from error


def _members(text: str) -> Iterator[tuple[str, Any, str]]:
    position = _after(_OPEN, text, 0)
    end = _CLOSE.match(text, position)
    while end is None:
        name, position = scanstring(text, _after(_QUOTE, text, position))
        start = _after(_COLON, text, position)
        value, position = _decoder.raw_decode(text, start)
        yield name, value, text[start:position]
        end = _CLOSE.match(text, position)
        position = position if end else _after(_COMMA, text, position)
    if end.end() != len(text):
        raise InvalidJSON(f"something follows the object at character {end.end()}")


def _after(token: re.Pattern[str], text: str, position: int) -> int:
    match = token.match(text, position)
    if match is None:
        raise InvalidJSON(f"not a JSON object: unexpected text at character {position}")
    return match.end()


def _kept(value: Any, raw: str) -> Any:
    if _SURROGATE_ESCAPE.search(raw):
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    if raw.count("[") + raw.count("{") >= MAX_DEPTH and _depth(value) >= MAX_DEPTH:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels")
    return ObjectText(_STRING_OR_SPACE.sub(r"\1", raw)) if isinstance(value, dict) else value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [child for node in level for child in _children(node)]
    return depth


def _children(node: dict[str, Any] | list[Any]) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJSON("a name appears twice in one object")
    return members


def _integer(digits: str) -> int:
    # Only the text is kept, so that a number too long for `id` need not be converted:
    # Python's conversion takes quadratic time, and refuses 4,300 digits (CVE-2020-10735).
    return int(digits[:40])


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidJSON(f"{digits[:40]} is beyond a double")
    return number


def _refuse(constant: str) -> NoReturn:
    raise InvalidJSON(f"{constant} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_refuse,
)
