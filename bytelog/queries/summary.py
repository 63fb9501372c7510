"""Counting events: how many of each name, in each hour, day or other stretch of a window."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TypedDict

from marshmallow import ValidationError
from sqlalchemy import ColumnElement, Engine, Select, String, bindparam, func, select

from ..config import MAX_GROUPS
from ..storage.database import fetch
from ..storage.models import Event
from ..storage.sql import DateAsText, WeekOf
from .filters import bind_values, conditions, date
from .selection import Bucket, Selection


class BucketCounts(TypedDict):
    """The events of one stretch, from `date` on: how many, and how many of each name."""

    date: str
    count: int
    names: dict[str, int]


class Summary(TypedDict):
    """How many events, how many of each name, the most frequent first, and the same by bucket."""

    count: int
    names: dict[str, int]
    buckets: list[BucketCounts]


# How much of a date's text names the stretch, and what completes it.
_TEXT = {
    Bucket.MINUTE: (16, ":00.000Z"),
    Bucket.HOUR: (13, ":00:00.000Z"),
    Bucket.DAY: (10, "T00:00:00.000Z"),
    Bucket.WEEK: (10, "T00:00:00.000Z"),
    Bucket.MONTH: (7, "-01T00:00:00.000Z"),
    Bucket.YEAR: (4, "-01-01T00:00:00.000Z"),
}


def count(engine: Engine, selection: Selection, bucket: Bucket) -> Summary:
    """Count the events that were selected; raises StorageError.

    Raises ValidationError when there are more than MAX_GROUPS counts to tell.
    """
    statement = _statement(bucket, tuple(selection.filters), selection.depths)
    rows = fetch(engine, statement, bind_values(selection) | {"rows": MAX_GROUPS + 1})
    if len(rows) > MAX_GROUPS:
        problem = f"Must leave at most {MAX_GROUPS} counts: take a longer one, or a shorter window."
        raise ValidationError(problem, "bucket")
    names: Counter[str] = Counter()
    buckets: dict[str, BucketCounts] = {}
    for start, name, number in rows:
        names[name] += number
        text = start + _TEXT[bucket][1]
        found = buckets.setdefault(text, {"date": text, "count": 0, "names": {}})
        found["count"] += number
        found["names"][name] = number
    return {
        "count": names.total(),
        "names": dict(names.most_common()),
        "buckets": list(buckets.values()),
    }


@lru_cache(maxsize=200)
def _statement(
    bucket: Bucket, filters: tuple[str, ...], depths: tuple[int, ...]
) -> Select[str, str, int]:
    start = _bucket_start(bucket).label("bucket")
    is_mine = Event.project_id == bindparam("project_id")
    counted = select(start, Event.name, func.count()).where(
        is_mine, date >= bindparam("start"), date < bindparam("end"), *conditions(filters, depths)
    )
    return (
        counted.group_by("bucket", Event.name)
        .order_by("bucket", Event.name)
        .limit(bindparam("rows"))
    )


def _bucket_start(bucket: Bucket) -> ColumnElement[str]:
    if bucket is Bucket.WEEK:
        return WeekOf(date)
    return func.substr(DateAsText(date), 1, _TEXT[bucket][0], type_=String)
