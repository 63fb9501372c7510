"""Timestamps: any ISO 8601 form is parsed, and one form is written."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

_ISO_8601 = re.compile(
    r"""
    (?P<day> \d{4}-\d\d-\d\d | \d{8} | \d{4}-W\d\d-\d | \d{4}W\d{3} | \d{4}-?\d{3} )
    (?: [T ]
        (?P<hour> [01]\d | 2[0-4] )
        (?: :? (?P<minute> [0-5]\d ) (?: :? (?P<second> [0-5]\d | 60 ) )? )?
        (?: [.,] (?P<part> \d+ ) )?
        (?P<zone> Z | (?P<sign> [+-] ) (?P<zone_hour> [01]\d | 2[0-3] ) (?: :? (?P<zone_minute> [0-5]\d ) )? )?
    )?
    """,  # noqa: E501
    re.VERBOSE | re.ASCII,
)


_HOUR = timedelta(hours=1)


def _build_pattern() -> str:
    leap_years = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
    ordinal = "(?:00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-5])"
    days = ["[1-9][0-9]{3}-?" + ordinal]
    for dash in ("-", ""):
        long_months = f"(?:0[13578]|1[02]){dash}(?:0[1-9]|[12][0-9]|3[01])"
        short_months = f"(?:0[469]|11){dash}(?:0[1-9]|[12][0-9]|30)"
        february = f"02{dash}(?:0[1-9]|1[0-9]|2[0-8])"
        week = f"W(?:0[1-9]|[1-4][0-9]|5[0-2]){dash}[1-7]"
        days.append(f"[1-9][0-9]{{3}}{dash}(?:{long_months}|{short_months}|{february}|{week})")
        days.append(f"{leap_years}{dash}02{dash}29")
    time = "[Tt ](?:[01][0-9]|2[0-3])(?::?[0-5][0-9]){0,2}(?:[.,][0-9]+)?"
    zone = "(?:[Zz]|[-+](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"
    return f"^(?:{'|'.join(days)})(?:{time}{zone})?$"


PATTERN = _build_pattern()
"""What `parse` accepts, as far as JSON Schema can express it: from the year 1000 on, without 24:00,
leap seconds, and the 366th day and the 53rd week of the years that have them."""


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def days_ago(days: int) -> datetime:
    """Return the moment a number of days of 24 hours ago, at the earliest the year 1."""
    try:
        return now() - timedelta(days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def parse(text: str, zone: tzinfo = UTC) -> datetime:
    """Return the time that `text` names, in UTC, cut to milliseconds.

    Accepts a calendar, week or ordinal date, alone (its midnight) or with a time, separated by `T`
    or a space, in the basic or the extended format. `zone` is that of a text without one; the
    earlier time is meant where clocks were set back. 24:00 is the next
    midnight, and a leap second, the last of an hour in UTC, counts as the second after it. Raises
    ValueError for anything else and for times outside the years 1 to 9999. (ISO 8601-1, RFC 3339
    sections 5.6 and 5.7)
    """
    form = text.upper() if isinstance(text, str) else ""
    match = _ISO_8601.fullmatch(form)
    if match is None:
        raise ValueError("write it like 2021-07-04 or 2021-07-04T13:34:56Z")
    try:
        return _convert(form, match, zone)
    except OverflowError as error:
        raise ValueError("it is outside the years 1 to 9999") from error


def format_utc(moment: datetime) -> str:
    """Return `2021-07-04T13:34:56.000Z`, the form of responses and of the database."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def _convert(form: str, match: re.Match[str], zone: tzinfo) -> datetime:
    try:
        if match["part"] and not match["second"]:
            raise ValueError("Python reads the fraction of an hour as that of a second")
        moment = datetime.fromisoformat(form)
    except ValueError:  # Python also rejects ordinal dates, 24:00 and leap seconds
        offset = _parse_offset(match)
        moment = datetime.combine(_parse_day(match["day"]), datetime.min.time())
        moment += _parse_time(match, offset) - offset
        zone = UTC if match["zone"] else zone
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _parse_day(text: str) -> date:
    if "W" in text or (len(text) >= 8 and text.count("-") != 1):
        return date.fromisoformat(text)
    first = date(int(text[:4]), 1, 1)
    day = first + timedelta(days=int(text[-3:]) - 1)
    if day.year != first.year:
        raise ValueError("that year has no such day")
    return day


def _parse_time(match: re.Match[str], offset: timedelta) -> timedelta:
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    unit = 1000 if match["second"] else 60_000 if match["minute"] else 3_600_000
    milliseconds = int((match["part"] or "0")[:9].ljust(9, "0")) * unit // 10**9
    if hour == 24 and (minute or second or milliseconds):
        raise ValueError("no time may follow 24:00")
    if second == 60 and (timedelta(minutes=minute) - offset) % _HOUR != timedelta(minutes=59):
        raise ValueError("a leap second must be the last of an hour in UTC")
    return timedelta(hours=hour, minutes=minute, seconds=second, milliseconds=milliseconds)


def _parse_offset(match: re.Match[str]) -> timedelta:
    offset = timedelta(hours=int(match["zone_hour"] or 0), minutes=int(match["zone_minute"] or 0))
    return -offset if match["sign"] == "-" else offset
