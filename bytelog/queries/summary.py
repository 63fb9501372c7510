"""Counting events by name, and by hour, day or another unit of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, String, bindparam, func, select

from ..storage.backend import Backend
from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from ..storage.sql import DateAsText, WeekOf
from .filters import build_window_conditions
from .groups import fetch_groups
from .selection import Bucket, Selection, Shape


class BucketCounts(TypedDict):
    """The number of events in the bucket that starts at `date`, in total and of each name."""

    date: str
    count: int
    names: dict[str, int]


class Summary(TypedDict):
    """The number of events: in total, of each name (the most frequent first), and by bucket."""

    count: int
    names: dict[str, int]
    buckets: list[BucketCounts]


# The length of the prefix of a date that identifies its bucket, and the rest of a full date.
_PREFIXES = {
    Bucket.MINUTE: (16, ":00.000Z"),
    Bucket.HOUR: (13, ":00:00.000Z"),
    Bucket.DAY: (10, "T00:00:00.000Z"),
    Bucket.WEEK: (10, "T00:00:00.000Z"),
    Bucket.MONTH: (7, "-01T00:00:00.000Z"),
    Bucket.YEAR: (4, "-01-01T00:00:00.000Z"),
}


def count(reader: Reader, selection: Selection, bucket: Bucket) -> Summary:
    """Count the selected events; raises StorageError, and TooManyGroups above MAX_GROUPS."""
    query = _query(type(reader.backend), bucket, selection.shapes)
    return _summarize(fetch_groups(reader, query, selection), _PREFIXES[bucket][1])


def _summarize(rows: Sequence[Any], rest_of_date: str) -> Summary:
    names: Counter[str] = Counter()
    buckets: dict[str, BucketCounts] = {}
    for prefix, name, events in rows:
        names[name] += events
        start = prefix + rest_of_date
        bucket = buckets.setdefault(start, {"date": start, "count": 0, "names": {}})
        bucket["count"] += events
        bucket["names"][name] = events
    return {
        "count": names.total(),
        "names": dict(names.most_common()),
        "buckets": list(buckets.values()),
    }


@lru_cache(MAX_QUERIES)
def _query(backend: type[Backend], bucket: Bucket, filters: tuple[Shape, ...]) -> Query:
    statement = (
        select(_bucket_prefix(bucket).label("bucket"), Event.name, func.count())
        .where(*build_window_conditions(filters))
        .group_by("bucket", Event.name)
        .order_by("bucket", Event.name)
        .limit(bindparam("rows"))
    )
    return Query(statement, backend.dialect)


def _bucket_prefix(bucket: Bucket) -> ColumnElement[str]:
    if bucket is Bucket.WEEK:
        return WeekOf(date)
    return func.substr(DateAsText(date), 1, _PREFIXES[bucket][0], type_=String)
