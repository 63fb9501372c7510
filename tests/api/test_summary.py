from __future__ import annotations

from typing import Any

import pytest
from support.api import CLICK, EVENTS, Person

pytestmark = pytest.mark.each_database

DATES = [
    "2021-08-14T23:59:59.999Z",
    "2021-08-15T00:00:00Z",
    "2021-08-15T09:30:59Z",
    "2021-08-15T09:31:00Z",
    "2021-08-16T00:00:00Z",
    "2022-01-01T00:00:00Z",
]


@pytest.fixture
def person_with_shop_events(alice: Person) -> Person:
    names = ["click", "click", "payment", "click", "payment", "click"]
    for date, name in zip(DATES, names, strict=True):
        assert alice.post({**CLICK, "date": date, "name": name}).status_code == 201
    return alice


def summary(person: Person, query: str = "") -> dict[str, Any]:
    return person.read(f"/summary{query}")


def test_a_summary_counts_names_and_days(person_with_shop_events: Person) -> None:
    assert summary(person_with_shop_events, "?end=2021-08-17") == {
        "count": 5,
        "names": {"click": 3, "payment": 2},
        "buckets": [
            {"date": "2021-08-14T00:00:00.000Z", "count": 1, "names": {"click": 1}},
            {"date": "2021-08-15T00:00:00.000Z", "count": 3, "names": {"click": 2, "payment": 1}},
            {"date": "2021-08-16T00:00:00.000Z", "count": 1, "names": {"payment": 1}},
        ],
    }


@pytest.mark.parametrize(
    ("bucket", "starts"),
    [
        ("minute", ["08-14T23:59", "08-15T00:00", "08-15T09:30", "08-15T09:31", "08-16T00:00"]),
        ("hour", ["08-14T23:00", "08-15T00:00", "08-15T09:00", "08-16T00:00"]),
        ("day", ["08-14T00:00", "08-15T00:00", "08-16T00:00"]),
        ("week", ["08-09T00:00", "08-16T00:00"]),
        ("month", ["08-01T00:00"]),
        ("year", ["01-01T00:00"]),
    ],
)
def test_every_bucket_starts_at_a_round_date(
    person_with_shop_events: Person, bucket: str, starts: list[str]
) -> None:
    buckets = summary(person_with_shop_events, f"?bucket={bucket}&end=2021-12-31")["buckets"]
    assert [bucket_entry["date"] for bucket_entry in buckets] == [
        f"2021-{start}:00.000Z" for start in starts
    ]


def test_the_most_frequent_name_comes_first(person_with_shop_events: Person) -> None:
    for _ in range(9):
        person_with_shop_events.post({**CLICK, "name": "zeal"})
    assert list(summary(person_with_shop_events)["names"]) == ["zeal", "click", "payment"]


def test_the_window_starts_and_ends_as_in_a_listing(person_with_shop_events: Person) -> None:
    query = "?start=2021-08-15&end=2021-08-16"
    assert (
        summary(person_with_shop_events, query)["count"]
        == len(person_with_shop_events.events(query))
        == 3
    )


@pytest.mark.parametrize(
    "query", ["?name=payment", "?trace_id=a", "?id=7", "?data.client.id=5", "?name=x"]
)
def test_filters_count_the_same_events_as_a_listing(
    person_with_shop_events: Person, query: str
) -> None:
    person_with_shop_events.post({**CLICK, "trace_id": "a", "id": 7, "data": {"client": {"id": 5}}})
    assert summary(person_with_shop_events, query)["count"] == len(
        person_with_shop_events.events(query)
    )


def test_an_empty_project_has_an_empty_summary(
    bob: Person, person_with_shop_events: Person
) -> None:
    assert summary(bob) == {"count": 0, "names": {}, "buckets": []}


@pytest.mark.before_database
@pytest.mark.parametrize(
    "query", ["?bucket=eon", "?limit=5", "?order=date", "?start=soon", "?bucket=day&bucket=day"]
)
def test_a_bad_parameter_gets_400(alice: Person, query: str) -> None:
    assert alice.get(f"/summary{query}").status_code == 400


def test_a_summary_with_too_many_counts_gets_400_with_advice(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 2)
    for day in (1, 2, 3):
        alice.post({**CLICK, "date": f"2021-01-0{day}"})
    response = alice.get("/summary", Accept="application/problem+json")
    assert response.status_code == 400
    assert response.json is not None
    (problem,) = response.json["errors"]
    assert problem["parameter"] == "bucket"
    assert summary(alice, "?bucket=month")["count"] == 3


@pytest.mark.before_database
def test_a_summary_requires_a_key(alice: Person) -> None:
    assert alice.client.get(f"{EVENTS}/summary").status_code == 401
