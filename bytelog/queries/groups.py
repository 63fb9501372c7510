"""Counts of events by group, of which a response has only so many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..config import MAX_GROUP_CHARACTERS, MAX_GROUPS
from ..storage.query import Query
from ..storage.reader import NO_VALUES, Reader
from .filters import bind_values
from .selection import Selection


class TooManyGroups(Exception):
    """The selected events form more than MAX_GROUPS groups, or their names are too long."""


def fetch_groups(
    reader: Reader, query: Query, selection: Selection, values: Mapping[str, Any] = NO_VALUES
) -> list[Sequence[Any]]:
    """Return a row for each group; the query has the parameter `rows` as its limit.

    `values` are those of the query's other parameters.

    Raises StorageError and TooManyGroups.
    """
    values = {**bind_values(selection), **values, "rows": MAX_GROUPS + 1}
    with reader.open(query, values) as rows:
        return limit_groups(rows)


def limit_groups(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return rows, one for each group; raises TooManyGroups."""
    groups: list[Sequence[Any]] = []
    size = 0
    for group in rows:
        groups.append(group)
        size += _count_characters(group)
        if len(groups) > MAX_GROUPS or size > MAX_GROUP_CHARACTERS:
            raise TooManyGroups
    return groups


def fetch_first(reader: Reader, query: Query, values: Mapping[str, Any]) -> list[Sequence[Any]]:
    """Return the first rows of a query, as many as a response may have; raises StorageError."""
    first: list[Sequence[Any]] = []
    size = 0
    with reader.open(query, {**values, "rows": MAX_GROUPS}) as rows:
        for row in rows:
            size += _count_characters(row)
            if size > MAX_GROUP_CHARACTERS:
                break
            first.append(row)
    return first


def _count_characters(row: Sequence[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, str))
