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
from typing import Any, NoReturn, cast

from ..config import MAX_BODY_BYTES, MAX_DEPTH

_DATA = re.compile(
    r'"(?:d|\\u0064)(?:a|\\u0061)(?:t|\\u0074)(?:a|\\u0061)"[ \t\n\r]*:[ \t\n\r]*(?={)'
)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_PARTS = (4 * 1024, 64 * 1024, MAX_BODY_BYTES + 1)
_SPACE = " \t\n\r"
_SPACES = re.compile(r"[ \t\n\r]*")
_TOKENS = re.compile(r'(?:[^" \t\n\r]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")++')


class InvalidJSON(ValueError):
    """The body is not I-JSON, or not an object; the message says where it went wrong."""


@dataclass(frozen=True, slots=True)
class ObjectText:
    """A JSON object as it was sent, without the space between its tokens."""

    text: str


def decode_text(body: bytes) -> str:
    """Return a body's text; raises InvalidJSON if it is not UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJSON(str(error)) from error


def decode_object(text: str) -> dict[str, Any]:
    """Return the members of a JSON object; `data`, if it is an object, comes as ObjectText.

    Raises InvalidJSON for duplicate names, lone surrogates, NaN, Infinity, numbers beyond a
    double, nesting deeper than MAX_DEPTH, a byte order mark, and whatever else is not I-JSON.
    """
    return check_members(_decode_whole(text), text)


def compact_object(text: str) -> ObjectText:
    """Return a JSON object as it fits in `data`; raises InvalidJSON as `decode_object` does."""
    _check(_decode_whole(text), text, MAX_DEPTH - 1)
    return ObjectText("".join(_TOKENS.findall(text)))


def decode_array(text: str) -> Iterator[tuple[Any, str]]:
    """Return each value in a JSON array, and its text, for `members`; raises InvalidJSON."""
    position = _skip_space(text, _skip_space(text, 0) + 1)
    separator = "]" if text[position : position + 1] == "]" else ","
    end = position
    while separator == ",":
        value, end = _decode_element(text, position)
        yield value, text[position:end].strip(_SPACE)
        end = _skip_space(text, end)
        separator, position = text[end : end + 1], end + 1
    if separator != "]" or _skip_space(text, end + 1) != len(text):
        raise InvalidJSON(f"the array does not end well: line 1 column {end + 1} (char {end})")


def check_members(value: Any, text: str) -> dict[str, Any]:
    """Return the members of a decoded object, as `decode_object` does; raises InvalidJSON."""
    _check(value, text, MAX_DEPTH)
    if isinstance(value.get("data"), dict):
        value["data"] = _extract_data(text, value)
    return cast("dict[str, Any]", value)


def _check(value: Any, text: str, levels: int) -> None:
    if not isinstance(value, dict):
        raise InvalidJSON("not an object")
    if text.count("[") + text.count("{") > levels and _is_deep(text.encode(), levels):
        raise InvalidJSON(f"nested deeper than {levels} levels")
    if "\\u" in text and _has_lone_surrogate(value):
        raise InvalidJSON("a surrogate stands alone")


def _decode_whole(text: str) -> Any:
    value, end = _decode_value(text, 0)
    if _skip_space(text, end) != len(text):
        raise InvalidJSON(f"something follows the object: line 1 column {end + 1} (char {end})")
    return value


def _decode_value(text: str, position: int) -> tuple[Any, int]:
    try:
        return _decoder.raw_decode(text, _skip_space(text, position))
    except RecursionError as error:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise InvalidJSON(str(error)) from error


def _decode_element(text: str, position: int) -> tuple[Any, int]:
    # Decoded from a part of the text, so that none takes more memory than an event may. What ends
    # with the part may be a number that was cut.
    for size in _PARTS:
        part = text[position : position + size]
        try:
            value, end = _decode_value(part, 0)
        except InvalidJSON:
            if len(part) < size:
                raise
        else:
            if end < size:
                return value, position + end
    raise InvalidJSON(f"not JSON, or longer than {MAX_BODY_BYTES} bytes: char {position}")


def _skip_space(text: str, position: int) -> int:
    match = _SPACES.match(text, position)
    return match.end() if match else position


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _extract_data(text: str, event: dict[str, Any]) -> ObjectText:
    # No schema lets the other members of an event nest, so that the first match is the right one.
    start = cast("re.Match[str]", _DATA.search(text)).end()
    if next(reversed(event)) == "data":  # Mostly so; then its end need not be looked for.
        end = text.rindex("}")
    else:
        end = _decoder.raw_decode(text, start)[1]
    return ObjectText("".join(_TOKENS.findall(text, start, end)))


def _is_deep(body: bytes, levels: int) -> bool:
    brackets = _STRING.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJSON("a name appears twice in one object")
    return members


def _parse_integer(digits: str) -> int:
    # Only the text is kept, so that a number too long for `id` need not be converted:
    # Python's conversion takes quadratic time, and refuses 4,300 digits (CVE-2020-10735).
    return int(digits[:40])


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidJSON(f"{digits[:40]} is beyond a double")
    return number


def _refuse(constant: str) -> NoReturn:
    raise InvalidJSON(f"{constant} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_int=_parse_integer,
    parse_float=_parse_float,
    parse_constant=_refuse,
)
