"""Whether an event that is not stored yet matches filters by equality.

The rules are those of the SQL in `filters.py` and `storage/members.py`: what matches here is what
a listing finds once the event is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..storage.numbers import parse_number
from .selection import Filter

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def matches(fields: Mapping[str, str], filters: Sequence[Filter]) -> bool:
    """Return whether the fields of an event, with `data` as JSON, match all filters."""
    return all(_matches(fields, filter_) for filter_ in filters)


def _matches(fields: Mapping[str, str], filter_: Filter) -> bool:
    field, *names = filter_.path
    if not names:
        return fields[field] in filter_.values
    items = _list_items(fields[field], names)
    return any(_is_equal(item, str(value)) for item in items for value in filter_.values)


def _list_items(data: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the JSON text of a member and, if it is an array, of its elements."""
    member = data.encode()
    for name in names:
        if not member.startswith(b"{"):
            return
        members = _decode_object(member)
        if name not in members:
            return
        member = bytes(members[name])
    yield member.decode()
    if member.startswith(b"["):
        for element in _decode_array(member):
            yield bytes(element).decode()


def _is_equal(item: str, value: str) -> bool:
    """Return whether a JSON text is a value: a string decoded, a number by its value."""
    if item.startswith('"'):
        return bool(json.loads(item) == value)
    if item == value:
        return True
    number = parse_number(item)
    return number is not None and number == parse_number(value)
