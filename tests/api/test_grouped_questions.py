from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import Person
from support.buckets import UNITS, ZONES, bucket_of, dates
from support.generated import examples
from support.groups import groupings, groups_of, names_of, stories
from support.questions import Model, Query, decode, encode

pytestmark = pytest.mark.each_database


def read(person: Person, path: str, **parameters: str) -> Any:
    return person.read(f"{path}?{encode(list(parameters.items()))}")


def count_buckets(events: list[Model], unit: str, zone: ZoneInfo) -> list[dict[str, Any]]:
    names: dict[str, Counter[str]] = {}
    for event in sorted(events, key=lambda event: (event.date, event.name)):
        names.setdefault(bucket_of(event.date, unit, zone), Counter())[event.name] += 1
    return [
        {"date": date, "count": counts.total(), "names": dict(counts)}
        for date, counts in sorted(names.items())
    ]


@examples
@given(
    st.lists(st.tuples(dates, st.sampled_from("abc")), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.sampled_from(UNITS), st.sampled_from(ZONES), dates, dates),
        min_size=1,
        max_size=3,
    ),
)
def test_buckets_are_those_of_the_model(
    record: Callable[[list[Model]], Person],
    stored: list[tuple[str, str]],
    questions: list[tuple[str, str, str, str]],
) -> None:
    events = [Model(0, name, "t", date, {}) for date, name in stored]
    person = record(events)
    for unit, zone, start, end in questions:
        buckets = read(person, "/summary", bucket=unit, tz=zone)["buckets"]
        assert buckets == count_buckets(events, unit, ZoneInfo(zone)), (unit, zone)
        selected = [event for event in events if start <= event.date < end]
        buckets = read(person, "/summary", bucket=unit, tz=zone, start=start, end=end)["buckets"]
        assert buckets == count_buckets(selected, unit, ZoneInfo(zone)), (unit, zone)


@examples
@given(
    st.lists(st.tuples(dates, st.sampled_from("abc")), max_size=12),
    st.lists(st.tuples(st.sampled_from(UNITS), dates, dates), min_size=2, max_size=6),
)
def test_buckets_in_utc_are_those_of_the_model(
    record: Callable[[list[Model]], Person],
    stored: list[tuple[str, str]],
    questions: list[tuple[str, str, str]],
) -> None:
    events = [Model(0, name, "t", date, {}) for date, name in stored]
    events.append(Model(0, "other", "t", "2021-01-01T00:00:00.000Z", {}))
    person = record(events)
    for unit, start, end in questions:
        selected = [event for event in events if start <= event.date < end]
        summary = read(person, "/summary", bucket=unit, start=start, end=end)
        assert summary["buckets"] == count_buckets(selected, unit, ZoneInfo("UTC"))
        assert read(person, "/summary", bucket=unit)["buckets"] == count_buckets(
            events, unit, ZoneInfo("UTC")
        )


@examples
@given(stories, st.lists(groupings(), min_size=2, max_size=4))
def test_groups_are_those_of_the_model(
    record: Callable[[list[Model]], Person], stored: list[Model], questions: list[Query]
) -> None:
    person = record(stored)
    for query in questions:
        response = person.get(f"/summary?{encode(query)}")
        assert response.status_code == 200, response.text
        groups = decode(response.text)
        assert groups["groups"] == groups_of(stored, query), query
        assert groups["count"] == str(len(stored))


_odd_names = st.sampled_from(["a", "ü", 'a"b', "a\\b", "a\0b", "a.b", "a[0]", "", "$", "key", "\n"])
_kinds = st.sampled_from(["1", "1.5", '"x"', "true", "false", "null", "[1]", '{"a":1}'])


@examples
@given(
    st.lists(
        st.builds(
            Model,
            st.just(1),
            st.sampled_from(["visit", "order", "größe"]),
            st.just("t"),
            dates,
            st.dictionaries(_odd_names, _kinds, max_size=4),
        ),
        max_size=12,
    ),
    st.integers(1, 12),
)
def test_names_are_those_of_the_model(
    record: Callable[[list[Model]], Person], stored: list[Model], sample: int
) -> None:
    person = record([*stored, Model(1, "other", "t", "2021-01-01T00:00:00.000Z", {})])
    query = "/names?name[not]=other"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bytelog.queries.names.NAMES_SAMPLE", sample)
        assert person.read(query) == {"count": len(stored), "names": names_of(stored, sample)}
