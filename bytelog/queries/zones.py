"""Time zones: when their offsets from UTC change, and when their days begin.

Python's `zoneinfo` decides, because databases have zone data of other versions, or none. Near the
ends of the calendar, where the local time would leave the years 1 to 9999, it is that of UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

_STEP = timedelta(days=3)
"""Time between two examinations of an offset: none in the IANA database is valid for less."""

_STEPS_IN_YEAR = 122
"""Steps that begin within a year."""

_SECOND = timedelta(seconds=1)

_FIRST_CHANGES, _LAST_CHANGES = 1800, 2100
"""Years before which no zone changes, and from which each follows a yearly rule for ever."""

_CYCLE_YEARS, _CYCLE = 400, timedelta(days=146_097)
"""After this time the days of a year are the same days of the week, and the rules repeat."""

_CACHED_YEARS = 4000
"""Years whose changes are cached, of all zones together."""


class Segment(NamedTuple):
    """A time during which a zone has one offset from UTC: from `start`, and before `end`."""

    start: datetime
    end: datetime
    offset: timedelta


def list_segments(zone: ZoneInfo, start: datetime, end: datetime) -> list[Segment]:
    """Return the segments from `start`, and before `end`, in order."""
    changes = [
        change
        for year in range(start.year, end.year + 1)
        for change in _list_changes(zone, year)
        if start < change < end
    ]
    bounds = pairwise([start, *changes, end])
    return [Segment(*bound, _offset_at(bound[0], zone)) for bound in bounds]


def begin(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment at which clocks show a time or, if they skip it, a later one."""
    if local == FIRST.replace(tzinfo=None):
        return FIRST
    moment = _to_utc(local.replace(fold=0), zone)
    if _to_local(moment, zone) == local:
        return moment
    # Clocks are set forward over this time. With fold=1, it counts from the later offset.
    before = _to_utc(local.replace(fold=1), zone)
    return _find_change(zone, before, moment) if before < moment else moment


def _list_changes(zone: ZoneInfo, year: int) -> Iterable[datetime]:
    """Return when the offset changes after the start of a year, up to the start of the next."""
    if FIRST.year < year < _FIRST_CHANGES:
        return ()
    if year < _LAST_CHANGES + _CYCLE_YEARS or year == LAST.year:
        return _find_changes(zone, year)
    cycles = (year - _LAST_CHANGES) // _CYCLE_YEARS
    changes = _find_changes(zone, year - cycles * _CYCLE_YEARS)
    return (change + cycles * _CYCLE for change in changes)


@lru_cache(_CACHED_YEARS)
def _find_changes(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    start = datetime(year, 1, 1, tzinfo=UTC)
    days = (start + number * _STEP for number in range(_STEPS_IN_YEAR))
    end = LAST if year == LAST.year else start.replace(year=year + 1)
    offsets = [(day, _offset_at(day, zone)) for day in (*days, end)]
    return tuple(
        _find_change(zone, before, after)
        for (before, offset), (after, later_offset) in pairwise(offsets)
        if offset != later_offset
    )


def _find_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the second at which the offset changes between two moments."""
    offset = _offset_at(before, zone)
    low, high = 0, int((after - before) / _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(before + middle * _SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return before + high * _SECOND


def _offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    return _to_local(moment, zone) - moment.replace(tzinfo=None)


def _to_local(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:
        return moment.replace(tzinfo=None)


def _to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    try:
        return local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return FIRST if local.year == FIRST.year else LAST
