"""Whether an event that is not stored yet matches filters by equality.

The rules are those of the SQL in `filters.py` and `storage/members.py`: what matches here is what
a listing finds once the event is stored. `matches_singly` does not count the elements of arrays,
of which each matches for other filters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ..storage.numbers import parse_number
from .selection import Filter

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def matches(fields: Mapping[str, str], filters: Sequence[Filter]) -> bool:
    """Return whether the fields of an event, with `data` as JSON, match all filters."""
    return all(_matches(fields, filter_, _list_items) for filter_ in filters)


def matches_singly(fields: Mapping[str, str], filters: Sequence[Filter]) -> bool:
    """Return whether the fields of an event match all filters, each by a value that is no array."""
    return all(_matches(fields, filter_, _list_single) for filter_ in filters)


def _matches(
    fields: Mapping[str, str], filter_: Filter, list_items: Callable[[bytes], Iterable[bytes]]
) -> bool:
    field, *names = filter_.path
    if not names:
        return fields[field] in filter_.values
    member = _find_member(fields[field], names)
    items = (bytes(item).decode() for item in list_items(member)) if member else ()
    return any(_is_equal(item, str(value)) for item in items for value in filter_.values)


def _find_member(data: str, names: Sequence[str]) -> bytes | None:
    """Return the JSON text of a member."""
    member = data.encode()
    for name in names:
        if not member.startswith(b"{"):
            return None
        members = _decode_object(member)
        if name not in members:
            return None
        member = bytes(members[name])
    return member


def _list_items(member: bytes) -> Iterable[bytes]:
    return [member, *_decode_array(member)] if member.startswith(b"[") else [member]


def _list_single(member: bytes) -> Iterable[bytes]:
    return [] if member.startswith(b"[") else [member]


def _is_equal(item: str, value: str) -> bool:
    """Return whether a JSON text is a value: a string decoded, a number by its value."""
    if item.startswith('"'):
        return bool(json.loads(item) == value)
    if item == value:
        return True
    number = parse_number(item)
    return number is not None and number == parse_number(value)
