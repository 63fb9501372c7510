"""The names of events, and which members their `data` has."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TypedDict

from sqlalchemy import String, bindparam, func, select, true, type_coerce

from ..config import NAMES_SAMPLE
from ..storage.backend import Backend
from ..storage.keyset import date
from ..storage.member_lists import JSONName, create_member_list
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.segments import CrossJoin
from .filters import bind_values, build_window_conditions
from .groups import fetch_first, fetch_groups
from .selection import Selection, Shapes

_KINDS = {
    "text": "string",
    "integer": "number",
    "real": "number",
    "true": "boolean",
    "false": "boolean",
}
"""The names in JSON of the types that SQLite names otherwise."""

Members = dict[str, list[str]]
"""The kinds of values that each member has, the most frequent first."""


class NameOfEvents(TypedDict):
    """A name, the number of its events, the dates of the first and the last, and their members."""

    name: str
    count: int
    first: str
    last: str
    members: Members


class Names(TypedDict):
    """The number of events, and their names, the most frequent first."""

    count: int
    names: list[NameOfEvents]


def list_names(reader: Reader, selection: Selection) -> Names:
    """Return the names of the selected events, and the members of the newest of these events.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS names.
    """
    kind = type(reader.backend), selection.shapes
    rows = fetch_groups(reader, _names_query(*kind), selection)
    members = _list_members(reader, _members_query(*kind), selection)
    names: list[NameOfEvents] = [
        {"name": name, "count": number, "first": first, "last": last, "members": members[name]}
        for name, number, first, last in sorted(rows, key=lambda row: (-row[1], row[0]))
    ]
    return {"count": sum(name["count"] for name in names), "names": names}


def _list_members(reader: Reader, query: Query, selection: Selection) -> defaultdict[str, Members]:
    values = {**bind_values(selection), "sample": NAMES_SAMPLE}
    counts: Counter[tuple[str, str, str]] = Counter()
    for name, member, kind, number in fetch_first(reader, query, values):
        counts[name, json.loads(member), _KINDS.get(kind, kind)] += number
    members: defaultdict[str, Members] = defaultdict(dict)
    for name, member, kind in sorted(counts, key=lambda key: (-counts[key], key)):
        members[name].setdefault(member, []).append(kind)
    return members


@lru_cache(MAX_QUERIES)
def _names_query(backend: type[Backend], shapes: Shapes) -> Query:
    statement = (
        select(Event.name, func.count(), func.min(date), func.max(date))
        .where(*build_window_conditions(shapes))
        .group_by(Event.name)
        .limit(bindparam("rows"))
    )
    return Query(statement, backend.dialect)


@lru_cache(MAX_QUERIES)
def _members_query(backend: type[Backend], shapes: Shapes) -> Query:
    newest = (
        select(Event.name, type_coerce(Event.data, String).label("data"))
        .where(*build_window_conditions(shapes))
        .order_by(date.desc(), Event.key.desc())
        .limit(bindparam("sample"))
        .subquery("newest")
    )
    member = create_member_list(newest.c.data)
    columns = newest.c.name, JSONName(member.c.key, member.c.fullkey).label("member"), member.c.type
    statement = (
        select(*columns, func.count().label("number"))
        .select_from(CrossJoin(newest, member, true()))
        .group_by(newest.c.name, "member", member.c.type)
        .order_by(func.count().desc())
        .limit(bindparam("rows"))
    )
    return Query(statement, backend.dialect)
