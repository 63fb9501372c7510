"""Generated dates around the changes of time zones, and the buckets of a plain model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "America/Lima", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/St_Johns", "America/Havana", "Africa/Cairo"),
    *("Pacific/Apia", "America/Toronto", "Africa/Casablanca", "Pacific/Kiritimati"),
]
FIRST = datetime.min.replace(tzinfo=UTC)
UNITS = ["minute", "hour", "day", "week", "month", "year"]

CHANGES = [
    *("2021-03-28T01:00", "2021-10-31T01:00", "2021-11-07T06:00", "2021-04-03T15:00"),
    *("2021-10-02T15:30", "2006-10-29T02:31", "2006-04-02T03:31", "2020-03-08T05:00"),
    *("2020-11-01T05:00", "2024-04-25T22:00", "2024-10-31T21:00", "2011-12-30T10:00"),
    *("1919-03-31T04:30", "1893-03-31T23:06", "1986-01-01T00:00", "2021-01-01T00:00"),
]
ENDS = [
    *("0001-01-01T00:00:00.000Z", "0001-01-01T05:08:11.999Z", "0001-01-02T03:00:00.000Z"),
    *("9999-12-31T22:59:59.999Z", "9999-12-31T23:30:00.000Z", "9999-12-31T23:59:59.999Z"),
]


def shift(change: str, milliseconds: int) -> str:
    moment = datetime.fromisoformat(f"{change}:00+00:00") + timedelta(milliseconds=milliseconds)
    return write(moment)


def write(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


_HOURS = st.integers(-72, 72).map(lambda hours: hours * 1_800_000)
_POINTS = st.sampled_from([-3_600_000, -60_000, -1, 0, 1, 59_999, 1_799_999, 3_600_000])
_ANY = st.integers(-(10**12), 10**12)
dates = st.builds(shift, st.sampled_from(CHANGES), _HOURS | _POINTS | _ANY) | st.sampled_from(ENDS)


def to_local(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:
        return moment.replace(tzinfo=None)


def truncate(local: datetime, unit: str) -> datetime:
    local = local.replace(second=0, microsecond=0)
    match unit:
        case "minute":
            return local
        case "hour":
            return local.replace(minute=0)
        case "month":
            return local.replace(minute=0, hour=0, day=1)
        case "year":
            return local.replace(minute=0, hour=0, day=1, month=1)
    days = local.weekday() if unit == "week" else 0
    return local.replace(minute=0, hour=0) - timedelta(days=days)


def bucket_of(date: str, unit: str, zone: ZoneInfo) -> str:
    """Return the start of the bucket of a date."""
    moment = datetime.fromisoformat(date)
    local = to_local(moment, zone)
    start = truncate(local, unit)
    if unit in ("minute", "hour"):
        return write(find_start_of_run(moment, start, zone))
    return write(find_first(start, unit, zone))


def find_start_of_run(moment: datetime, start: datetime, zone: ZoneInfo) -> datetime:
    """Return the earliest moment from which clocks run without a change to another moment."""
    offset = to_local(moment, zone) - moment.replace(tzinfo=None)
    first = moment.replace(microsecond=0)
    for step in (timedelta(minutes=1), timedelta(seconds=1)):
        while first - FIRST >= step and to_local(first, zone) - start >= step:
            earlier = first - step
            if to_local(earlier, zone) - earlier.replace(tzinfo=None) != offset:
                break
            first = earlier
    return first


@cache
def find_first(start: datetime, unit: str, zone: ZoneInfo) -> datetime:
    """Return the first moment whose local time is in a bucket."""
    moment = start.replace(tzinfo=UTC)
    moment = moment - timedelta(days=1) if moment - FIRST > timedelta(days=1) else FIRST
    for step in (timedelta(minutes=10), timedelta(seconds=10), timedelta(seconds=1)):
        while truncate(to_local(moment, zone), unit) != start:
            moment += step
        moment = moment - step if moment - FIRST >= step else FIRST
    return moment if moment == FIRST else moment + timedelta(seconds=1)
