"""Buckets of time: the SQL that assigns events to them, and when each begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, String, func, select, true

from .. import timestamps
from ..storage.backend import Backend
from ..storage.keyset import BETWEEN_BOUNDS, date
from ..storage.models import Event
from ..storage.query import Query
from ..storage.reader import Reader
from ..storage.segments import CrossJoin, create_segments, local_date, write_segments
from ..storage.sql import DateAsText, WeekOf
from .filters import build_conditions, build_window_conditions, in_project
from .selection import END, Bucket, Selection, Shapes
from .zones import FIRST, LAST, Segment, begin, list_segments

# The length of the prefix of a date that identifies its bucket, and the rest of a full date.
_PREFIXES = {
    Bucket.MINUTE: (16, ":00.000Z"),
    Bucket.HOUR: (13, ":00:00.000Z"),
    Bucket.DAY: (10, "T00:00:00.000Z"),
    Bucket.WEEK: (10, "T00:00:00.000Z"),
    Bucket.MONTH: (7, "-01T00:00:00.000Z"),
    Bucket.YEAR: (4, "-01-01T00:00:00.000Z"),
}

_WITHIN_SEGMENTS = (Bucket.HOUR, Bucket.MINUTE)

_MILLISECOND = timedelta(milliseconds=1)

_MARGIN = timedelta(days=1)
"""How much earlier than the first event the segments start: its hour may begin earlier."""

_segments = create_segments()


class Layout:
    """What the SQL depends on if there are no buckets."""

    @property
    def keys(self) -> tuple[ColumnElement[Any], ...]:
        """Return the expressions that identify the bucket of an event, in order of time."""
        return ()

    def select(self, shapes: Shapes, *columns: Any) -> Select[Any]:
        """Return a statement for columns of the selected events."""
        return select(*columns).where(*build_window_conditions(shapes))


@dataclass(frozen=True)
class UTCLayout(Layout):
    """The same for buckets in UTC: their unit."""

    unit: Bucket

    @property
    def keys(self) -> tuple[ColumnElement[Any], ...]:
        """Return the expressions that identify the bucket of an event, in order of time."""
        return (cut(self.unit, date).label("bucket"),)


class ZoneLayout(UTCLayout):
    """The same for another zone, whose segments are joined with the events."""

    @property
    def keys(self) -> tuple[ColumnElement[Any], ...]:
        """Return the expressions that identify the bucket of an event, in order of time."""
        bucket = cut(self.unit, local_date(date, _segments)).label("bucket")
        # An hour that clocks repeat is two buckets, and a day with such an hour is one.
        if self.unit in _WITHIN_SEGMENTS:
            return (_segments.c.number.label("segment_number"), bucket)
        return (bucket,)

    def select(self, shapes: Shapes, *columns: Any) -> Select[Any]:
        """Return a statement for columns of the selected events."""
        joined = CrossJoin(_segments, Event.__table__, true())
        in_segment = date >= _segments.c.start, date < _segments.c.end
        filters, bound = shapes
        conditions = in_project(bound), *in_segment, *build_conditions(filters)
        return select(*columns).select_from(joined).where(*conditions)


_NO_BUCKETS = Layout()


class Buckets:
    """No buckets: all events of the window are counted together."""

    @property
    def layout(self) -> Layout:
        """Return what the SQL depends on."""
        return _NO_BUCKETS

    def bind(self, reader: Reader, selection: Selection) -> dict[str, Any]:
        """Return the values for the SQL, other than those of the selection."""
        return {}

    def start_of(self, key: Sequence[Any]) -> str:
        """Return the date at which the bucket with a key begins, "" if there are no buckets."""
        return ""


class UTCBuckets(Buckets):
    """The buckets of a unit of time in UTC."""

    def __init__(self, unit: Bucket) -> None:
        self.unit = unit

    @property
    def layout(self) -> Layout:
        """Return what the SQL depends on."""
        return UTCLayout(self.unit)

    def start_of(self, key: Sequence[Any]) -> str:
        """Return the date at which the bucket with a key begins."""
        return str(key[0]) + _PREFIXES[self.unit][1]


class ZoneBuckets(Buckets):
    """The buckets of a unit of time in a zone."""

    def __init__(self, unit: Bucket, zone: ZoneInfo) -> None:
        self._unit, self._zone = unit, zone
        self._segments: list[Segment] = []

    @property
    def layout(self) -> Layout:
        """Return what the SQL depends on."""
        return ZoneLayout(self._unit)

    def bind(self, reader: Reader, selection: Selection) -> dict[str, Any]:
        """Return the segments of the zone from the first event of the window to the last."""
        values = {"project_id": selection.project_id, **selection.bounds}
        ((first, last),) = reader.fetch(_window_query(type(reader.backend)), values)
        if first is None:
            return {"segments": "[]"}
        start = _earlier(datetime.fromisoformat(first), _MARGIN)
        self._segments = list_segments(self._zone, start, _later(datetime.fromisoformat(last)))
        window_start = selection.bounds["start"]
        segments = (_write_segment(segment, window_start) for segment in self._segments)
        return {"segments": write_segments(segments)}

    def start_of(self, key: Sequence[Any]) -> str:
        """Return the date at which the bucket with a key begins."""
        *numbers, prefix = key
        local = datetime.fromisoformat(prefix + _PREFIXES[self._unit][1][:-1])
        if not numbers:
            return timestamps.format_utc(begin(local, self._zone))
        segment = self._segments[numbers[0]]
        start = _earlier(local.replace(tzinfo=UTC), segment.offset)
        # The offset may change within an hour.
        return timestamps.format_utc(max(start, segment.start))


def cut(unit: Bucket, moment: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the part of a date that all dates of a bucket in UTC have in common."""
    if unit is Bucket.WEEK:
        return WeekOf(moment)
    return func.substr(DateAsText(moment), 1, _PREFIXES[unit][0], type_=String)


def _earlier(moment: datetime, time: timedelta) -> datetime:
    try:
        return moment - time
    except OverflowError:
        return FIRST


def _later(moment: datetime) -> datetime:
    try:
        return moment + _MILLISECOND
    except OverflowError:
        return LAST


def _write_segment(segment: Segment, window_start: str) -> tuple[str, str, int]:
    start = max(timestamps.format_utc(segment.start), window_start)
    end = END if segment.end == LAST else timestamps.format_utc(segment.end)
    return start, end, segment.offset // timedelta(seconds=1)


@lru_cache
def _window_query(backend: type[Backend]) -> Query:
    # Of all events of the project, also of those beyond a bound: an index has their dates, which
    # only limit the segments.
    in_window = in_project(()), *BETWEEN_BOUNDS
    first, last = (
        select(of_dates(date)).where(*in_window).scalar_subquery()
        for of_dates in (func.min, func.max)
    )
    return Query(select(first, last), backend.dialect)
