"""Counting events by name, and by hour, day or another unit of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypedDict

from sqlalchemy import bindparam, func

from ..storage.backend import Backend
from ..storage.errors import TextTooLong
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from .bucket_scan import scan_buckets
from .buckets import Buckets, Layout, UTCBuckets
from .groups import fetch_groups
from .selection import Selection, Shapes


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


def count(reader: Reader, selection: Selection, buckets: Buckets) -> Summary:
    """Count the selected events; raises StorageError, and TooManyGroups above MAX_GROUPS."""
    is_scan = reader.backend.sorts_groups and not (selection.filters or selection.bound)
    if is_scan and isinstance(buckets, UTCBuckets):
        with suppress(TextTooLong):
            return _summarize(scan_buckets(reader, selection, buckets.unit), buckets)
    query = _query(type(reader.backend), buckets.layout, selection.shapes)
    values = buckets.bind(reader, selection)
    return _summarize(fetch_groups(reader, query, selection, values), buckets)


def _summarize(rows: Sequence[Any], starts: Buckets) -> Summary:
    names: Counter[str] = Counter()
    buckets: dict[str, BucketCounts] = {}
    for *key, name, events in rows:
        names[name] += events
        start = starts.start_of(key)
        bucket = buckets.setdefault(start, {"date": start, "count": 0, "names": {}})
        bucket["count"] += events
        bucket["names"][name] = events
    return {
        "count": names.total(),
        "names": dict(names.most_common()),
        "buckets": list(buckets.values()),
    }


@lru_cache(MAX_QUERIES)
def _query(backend: type[Backend], layout: Layout, shapes: Shapes) -> Query:
    labels = [key.name for key in layout.keys]
    statement = (
        layout.select(shapes, *layout.keys, Event.name, func.count())
        .group_by(*labels, Event.name)
        .order_by(*labels, Event.name)
        .limit(bindparam("rows"))
    )
    return Query(statement, backend.dialect)
