"""Generated groupings, and the groups of a plain model."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import reduce
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from bytelog.storage.numbers import parse_number
from support.buckets import UNITS, ZONES, bucket_of, dates
from support.questions import NAMES, TRACES, VALUES, Model, Number, Query, decode

AMOUNTS = [
    *("0", "-0.0", "12.5", "12.50", "-7", "99999999999", "-99999999999.123456", "123456789012"),
    *("0.000001", "0.0000001", "-0.999999", "1.10", "10000000000.5", "-0", "-0.05", "999.999999"),
    *("9007199254740993", "1e2", "1E-7", "-1e308", "1e-9999", "0e9999", '"5"', "null", "[1]"),
    *(
        "5e-324",
        "123456789012.1",
        "1234567890123456789.5",
        "0.1",
        "0.2",
        '{"b":1}',
        '"-"',
        '"."',
        '"1.5"',
    ),
]
_values = st.sampled_from(VALUES + AMOUNTS)
_amounts = st.sampled_from(AMOUNTS)
_members = st.fixed_dictionaries(
    {}, optional={"a": _values, "ü": _values, "service.name": _values, "n": _amounts}
)
events = st.builds(
    Model,
    st.just(1),
    st.sampled_from(NAMES),
    st.sampled_from(TRACES),
    st.sampled_from(["2021-03-28T01:00:00.000Z", "2021-03-28T12:00:00.000Z"]) | dates,
    _members,
)
stories = st.lists(events, min_size=1, max_size=12)

_by = st.lists(
    st.sampled_from(["name", "data.a", 'data."service.name"', "data.n", "data.a.b", 'data."ü"']),
    max_size=2,
    unique=True,
)
_sums = st.sampled_from(["", "data.n", "data.a", "data.a.b"])
_buckets = st.sampled_from(["", *UNITS])


@st.composite
def groupings(draw: st.DrawFn) -> Query:
    """Return a query with `by` or `sum`."""
    by, added = draw(_by), draw(_sums)
    query = [("by", name) for name in by] + [("sum", added)] * bool(added)
    query = query or [("by", "name")]
    unit = draw(_buckets)
    zone = draw(st.sampled_from(["", *ZONES]))
    return query + [("bucket", unit)] * bool(unit) + [("tz", zone)] * bool(zone)


EXACT = Context(prec=50_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
ABSENT = ""
NESTED = {'{"b":"pro"}': '"pro"', '{"b":1}': "1", '{"b":12.50,"service.name":"x"}': "12.50"}
"""The member `b` of each object."""


def text_of(event: Model, path: str) -> str:
    """Return a member as it was written, "" if the event has none."""
    if path == "name":
        return event.name
    parts = re.findall(r'\.(?:"([^"]+)"|([^".]+))', path)
    first, *others = (quoted or name for quoted, name in parts)
    text = event.members.get(first, ABSENT)
    if not others or not text.startswith("{"):
        return ABSENT if others else text
    return NESTED.get(text, ABSENT)


def key_of(event: Model, path: str) -> str:
    text = text_of(event, path)
    if path == "name" or not text:
        return text
    if text.startswith('"'):
        return f'"{decode(text)}'
    number = parse_number(text)
    return text if number is None else shorten(number)


def shorten(number: Decimal) -> str:
    if not number:
        return "0"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def groups_of(stored: list[Model], query: Query) -> list[dict[str, Any]]:
    by = [value for name, value in query if name == "by"]
    others = {name: value for name, value in query if name != "by"}
    zone, unit = ZoneInfo(others.get("tz", "UTC")), others.get("bucket")
    groups: defaultdict[tuple[str, ...], list[Model]] = defaultdict(list)
    for event in stored:
        date = bucket_of(event.date, unit, zone) if unit else ""
        groups[date, *(key_of(event, path) for path in by)].append(event)

    def order(key: tuple[str, ...]) -> Any:
        return key[0], -len(groups[key]), key[1:]

    return [describe(key, groups[key], by, others.get("sum")) for key in sorted(groups, key=order)]


def describe(
    key: tuple[str, ...], group: list[Model], by: list[str], added: str | None
) -> dict[str, Any]:
    date, *keys = key
    row: dict[str, Any] = {"date": date} if date else {}
    for path, text in zip(by, keys, strict=True):
        if path == "name":
            row[path] = text
        elif text:
            row[path] = text[1:] if text.startswith('"') else decode(text)
    row |= {"count": Number(len(group)), "traces": Number(len({event.trace_id for event in group}))}
    return row | (totals_of(group, added) if added else {})


def totals_of(group: list[Model], path: str) -> dict[str, Any]:
    texts = [text for event in group if (text := text_of(event, path))]
    numbers = [number for text in texts if (number := parse_number(text)) is not None]
    totals = {"skipped": Number(len(texts) - len(numbers))}
    if not numbers:
        return dict.fromkeys(("sum", "min", "max", "average")) | totals
    total = reduce(EXACT.add, numbers)
    average = Context(20, Emin=MIN_EMIN, Emax=MAX_EMAX).divide(total, Decimal(len(numbers)))
    found = {"sum": total, "min": min(numbers), "max": max(numbers), "average": average}
    return {name: shorten(number) for name, number in found.items()} | totals


KINDS = {str: "string", bool: "boolean", type(None): "null", list: "array", dict: "object"}


def names_of(stored: list[Model], sample: int) -> list[dict[str, Any]]:
    """Return the names of events, and the members of the newest, which are a sample."""
    newest = sorted(enumerate(stored), key=lambda pair: (pair[1].date, pair[0]), reverse=True)
    kinds = Counter(
        (event.name, member, KINDS.get(type(value), "number"))
        for _, event in newest[:sample]
        for member, value in event.data.items()
    )
    counts = Counter(event.name for event in stored)
    rows: list[dict[str, Any]] = []
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        members: dict[str, list[str]] = {}
        for of_name, member, kind in sorted(kinds, key=lambda key: (-kinds[key], key)):
            if of_name == name:
                members.setdefault(member, []).append(kind)
        dates = sorted(event.date for event in stored if event.name == name)
        found = {"count": len(dates), "first": dates[0], "last": dates[-1]}
        rows.append({"name": name, **found, "members": members})
    return rows
