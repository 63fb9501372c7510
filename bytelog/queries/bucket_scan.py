"""Counting all events of a window bucket by bucket, for a database whose GROUP BY sorts.

SQLite would sort all events by bucket and name. The index by date has the buckets in order, so only
the names of each bucket are sorted: for a million events, that takes half as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, ColumnElement, String, bindparam, func, literal, select

from ..config import MAX_GROUPS
from ..storage.backend import Backend
from ..storage.keyset import BETWEEN_BOUNDS, date
from ..storage.models import Event
from ..storage.query import Query
from ..storage.reader import Reader
from .buckets import cut
from .filters import bind_values, in_project
from .groups import limit_groups
from .selection import Bucket, Selection

_start, _end = bindparam("start", type_=String), bindparam("end", type_=String)


def scan_buckets(reader: Reader, selection: Selection, unit: Bucket) -> list[Sequence[Any]]:
    """Return the prefix of each bucket with each name and its number, in order.

    Raises StorageError; TextTooLong if the names of a bucket are too long; and TooManyGroups.
    """
    values = bind_values(selection) | {"rows": MAX_GROUPS + 1}
    with reader.open(_query(type(reader.backend), unit), values) as rows:
        return limit_groups(_list_counts(rows))


def _list_counts(rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    for prefix, counts in rows:
        if prefix is not None:
            for name, number in json.loads(counts):
                yield prefix, name, number


@lru_cache
def _query(backend: type[Backend], unit: Bucket) -> Query:
    buckets = _walk_buckets(unit)
    in_bucket = (
        date >= func.max(buckets.c.prefix, _start, type_=String),
        date < func.min(_end_of(unit, buckets.c.prefix), _end, type_=String),
    )
    names = (
        select(Event.name, func.count().label("number"))
        .where(in_project(()), *in_bucket)
        .group_by(Event.name)
        .order_by(Event.name)
        .limit(bindparam("rows"))
        .correlate(buckets)
        .subquery()
    )
    counts = select(func.json_group_array(func.json_array(names.c.name, names.c.number)))
    statement = select(buckets.c.prefix, counts.scalar_subquery())
    return Query(statement.limit(bindparam("rows")), backend.dialect)


def _walk_buckets(unit: Bucket) -> CTE:
    """Return a table of the prefixes of all buckets that have events, and a NULL at the end."""
    first = select(cut(unit, func.min(date)).label("prefix"))
    first = first.where(in_project(()), *BETWEEN_BOUNDS)
    buckets = first.cte("bucket", recursive=True)
    following = select(cut(unit, func.min(date))).where(
        in_project(()), date >= _end_of(unit, buckets.c.prefix), date < _end
    )
    is_last = buckets.c.prefix.is_(None)
    return buckets.union_all(select(following.scalar_subquery()).where(~is_last))


def _end_of(unit: Bucket, prefix: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text that is after all dates of a bucket, and not after those of the next."""
    if unit is Bucket.WEEK:
        return func.coalesce(func.date(prefix, "+7 days"), _end, type_=String)
    return prefix + literal("~")
