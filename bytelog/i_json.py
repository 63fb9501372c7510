"""I-JSON (RFC 7493), the JSON that every program reads the same way.

Objects inside an event are kept as the text that was sent: decoding and encoding again would
change what Python's numbers cannot hold.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from .config import MAX_DEPTH

_DATA = re.compile(r'"data"[ \t\n\r]*:[ \t\n\r]*(?={)')
_STRING_OR_SPACE = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\n\r]+')


class InvalidJSON(ValueError):
    """The body is not I-JSON, or not an object; the message says where it went wrong."""


@dataclass(frozen=True, slots=True)
class ObjectText:
    """A JSON object as it was sent, without the space between its tokens."""

    text: str


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object from UTF-8; its member `data`, if an object, comes as ObjectText.

    Raises InvalidJSON for duplicate names, lone surrogates, NaN, Infinity, numbers beyond a
    double, nesting deeper than MAX_DEPTH, a byte order mark, and whatever else is not I-JSON.
    """
    try:
        text = body.decode("utf-8")
        members = _decoder.decode(text)
        if "\\u" in text:
            json.dumps(members, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails
    except RecursionError as error:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise InvalidJSON(str(error)) from error
    if not isinstance(members, dict):
        raise InvalidJSON("not an object")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(members) > MAX_DEPTH:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(members.get("data"), dict):
        members["data"] = _object_text(text, members["data"])
    return members


def _object_text(text: str, data: dict[str, Any]) -> ObjectText:
    # In an event nothing before `data` nests, so the first match is its own. Only a name with
    # escapes in it, `"d\u0061ta"`, is not found, or hides another one: hence the comparison.
    start = _DATA.search(text)
    found, end = _decoder.raw_decode(text, start.end()) if start else (None, 0)
    if start is None or found != data:
        raise InvalidJSON("write the name `data` without escapes, and nothing nested before it")
    return ObjectText(_STRING_OR_SPACE.sub(r"\1", text[start.end() : end]))


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
