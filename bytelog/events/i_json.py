"""I-JSON (RFC 7493), the subset of JSON that all programs read the same way.

`data` is stored as the text that was sent: decoding and encoding it would change numbers that
Python cannot represent.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, cast

from ..config import MAX_BODY_BYTES, MAX_DEPTH

_DATA = re.compile(
    r'"(?:d|\\u0064)(?:a|\\u0061)(?:t|\\u0074)(?:a|\\u0061)"[ \t\n\r]*:[ \t\n\r]*(?={)'
)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_PART_LENGTHS = (4 * 1024, 64 * 1024, MAX_BODY_BYTES + 1)
_SPACE = " \t\n\r"
_SPACES = re.compile(r"[ \t\n\r]*")
_TOKENS = re.compile(r'(?:[^" \t\n\r]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")++')


class InvalidJSON(ValueError):
    """A text is not I-JSON, or not an object; the message says why."""


@dataclass(frozen=True, slots=True)
class ObjectText:
    """A JSON object as it was sent, without the whitespace between its tokens."""

    text: str


class Member(NamedTuple):
    """A member of an object: its decoded value, and its name and value as they were written."""

    value: Any
    name: str
    text: str


def decode_text(body: bytes) -> str:
    """Return the text of a body; raises InvalidJSON if it is not UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJSON(str(error)) from error


def decode_object(text: str) -> dict[str, Any]:
    """Return the members of a JSON object; `data` is an ObjectText if it is an object.

    Raises InvalidJSON for duplicate names, lone surrogates, NaN, Infinity, numbers with a fraction
    or an exponent that overflow a double, nesting deeper than MAX_DEPTH, a byte order mark, and
    everything else that is not I-JSON. Integers may have any size: they are kept as text.
    """
    value = _decode_whole(text)
    _check(value, text, MAX_DEPTH)
    if isinstance(value.get("data"), dict):
        value["data"] = _extract_data(text, value)
    return cast("dict[str, Any]", value)


def compact_object(text: str) -> ObjectText:
    """Return a JSON object for the field `data`; raises InvalidJSON as `decode_object` does."""
    _check(_decode_whole(text), text, MAX_DEPTH - 1)
    return ObjectText(_compact(text))


def compact_value(text: str) -> str:
    """Return a JSON value without the whitespace between its tokens; raises InvalidJSON.

    Checks neither the depth nor surrogates, which `compact_object` does for the object around it.
    """
    _decode_whole(text)
    return _compact(text)


def split_members(text: str) -> dict[str, Member]:
    """Return the members of a valid JSON object without whitespace between its tokens."""
    members, position = {}, 1
    while position < len(text) - 1:
        name, colon = _decoder.raw_decode(text, position)
        value, end = _decoder.raw_decode(text, colon + 1)
        members[name] = Member(value, text[position:colon], text[colon + 1 : end])
        position = end + 1
    return members


def join_members(members: Iterable[Member]) -> ObjectText:
    """Return the JSON object of members, as they were written."""
    content = ",".join(f"{member.name}:{member.text}" for member in members)
    return ObjectText(f"{{{content}}}")


def decode_array(text: str) -> Iterator[str]:
    """Yield the text of each value of a JSON array; raises InvalidJSON."""
    position = _skip_space(text, _skip_space(text, 0) + 1)
    separator = "]" if text[position : position + 1] == "]" else ","
    end = position
    while separator == ",":
        end = _find_end(text, position)
        yield text[position:end].strip(_SPACE)
        end = _skip_space(text, end)
        separator, position = text[end : end + 1], end + 1
    if separator != "]" or _skip_space(text, end + 1) != len(text):
        raise InvalidJSON(f"the array does not end here: line 1 column {end + 1} (char {end})")


def _check(value: Any, text: str, levels: int) -> None:
    if not isinstance(value, dict):
        raise InvalidJSON("not an object")
    if text.count("[") + text.count("{") > levels and _is_deep(text.encode(), levels):
        raise InvalidJSON(f"nested deeper than {levels} levels")
    if "\\u" in text and _has_lone_surrogate(value):
        raise InvalidJSON("it has a lone surrogate")


def _decode_whole(text: str) -> Any:
    value, end = _decode_value(text, 0)
    if _skip_space(text, end) != len(text):
        raise InvalidJSON(f"text follows the object: line 1 column {end + 1} (char {end})")
    return value


def _decode_value(text: str, position: int) -> tuple[Any, int]:
    try:
        return _decoder.raw_decode(text, _skip_space(text, position))
    except RecursionError as error:
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise InvalidJSON(str(error)) from error


def _find_end(text: str, position: int) -> int:
    # Decode only a part of the text, so that no element takes more memory than an event may. A
    # value that ends where the part ends may be a number that was cut off.
    for size in _PART_LENGTHS:
        part = text[position : position + size]
        try:
            end = _decode_value(part, 0)[1]
        except InvalidJSON:
            if len(part) < size:
                raise
        else:
            if end < size:
                return position + end
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
    if any(isinstance(value, dict | list) for name, value in event.items() if name != "data"):
        return ObjectText(split_members(_compact(text))["data"].text)
    # No other member nests, so the first match is the member of the event itself.
    start = cast("re.Match[str]", _DATA.search(text)).end()
    if next(reversed(event)) == "data":  # The usual case: no need to decode `data` for its end.
        end = text.rindex("}")
    else:
        end = _decoder.raw_decode(text, start)[1]
    return ObjectText(_compact(text, start, end))


def _compact(text: str, start: int = 0, end: int = sys.maxsize) -> str:
    return "".join(_TOKENS.findall(text, start, end))


def _is_deep(body: bytes, levels: int) -> bool:
    brackets = _STRING.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJSON("a name appears twice in one object")
    return members


def _parse_integer(digits: str) -> int:
    # Only `id` needs the value, and it has at most 20 characters. Python's conversion of more
    # digits takes quadratic time, and fails at 4,300 digits (CVE-2020-10735).
    return int(digits[:40])


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidJSON("a number overflows a double")
    return number


def _reject(constant: str) -> NoReturn:
    raise InvalidJSON(f"{constant} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_reject_duplicates,
    parse_int=_parse_integer,
    parse_float=_parse_float,
    parse_constant=_reject,
)
