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

_DATA = re.compile(
    r'"(?:d|\\u0064)(?:a|\\u0061)(?:t|\\u0074)(?:a|\\u0061)"[ \t\n\r]*:[ \t\n\r]*(?={)'
)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
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
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(body):
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(members.get("data"), dict):
        members["data"] = _object_text(text, members["data"])
    return members


def _object_text(text: str, data: dict[str, Any]) -> ObjectText:
    # The other members of an event do not nest, so that the first match is the right one; where
    # they do, which no schema allows, the comparison tells.
    start = _DATA.search(text)
    found, end = _decoder.raw_decode(text, start.end()) if start else (None, 0)
    if start is None or found != data:
        raise InvalidJSON("something nested comes before `data`")
    return ObjectText(_STRING_OR_SPACE.sub(r"\1", text[start.end() : end]))


def _is_deep(body: bytes) -> bool:
    brackets = _STRING.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


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
