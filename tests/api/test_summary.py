from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from support.api import CLICK, EVENTS, Person
from support.cells import FORMULAS, HOSTILE_CELLS

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
    "query",
    ["?bucket=eon", "?limit=5", "?order=date", "?start=soon", "?bucket=day&bucket=day"]
    + [f"?by={path}" for path in ("id", "", "data", "data.", "trace_id", "data.a[not]")]
    + ["?by=name&by=name", "?by=data.a&by=data.%22a%22", "?by=name&by=data.a&by=data.b"]
    + ["?sum=name", "?sum=data.a&sum=data.b", "?sum="],
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


@pytest.mark.parametrize("unit", ["day", "hour"])
def test_buckets_in_a_time_zone_have_only_events_of_the_window(alice: Person, unit: str) -> None:
    alice.post([{**CLICK, "date": f"2021-03-27T{hour}:00Z"} for hour in (10, 12, 13)])
    window = "start=2021-03-27T11:00Z&end=2021-03-27T13:00Z"
    for zone in ("UTC", "Asia/Kathmandu"):
        assert summary(alice, f"?{window}&bucket={unit}&tz={zone}")["count"] == 1
        groups = summary(alice, f"?{window}&by=name&bucket={unit}&tz={zone}")["groups"]
        assert [group["count"] for group in groups] == [1]


def test_too_many_groups_get_400_with_advice(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 2)
    for number in range(3):
        alice.post({**CLICK, "data": {"a": number}, "date": f"202{number}-01-01"})
    for query, parameter in [("by=data.a&bucket=day", "by"), ("sum=data.a&bucket=day", "bucket")]:
        response = alice.get(f"/summary?{query}", Accept="application/problem+json")
        assert response.status_code == 400
        assert response.json is not None
        (problem,) = response.json["errors"]
        assert problem["parameter"] == parameter
    assert summary(alice, "?sum=data.a")["groups"][0]["sum"] == "3"


def test_no_events_form_no_group(bob: Person, person_with_shop_events: Person) -> None:
    for query in ("by=name", "sum=data.a", "by=data.a&bucket=day&tz=Asia/Kathmandu"):
        assert summary(bob, f"?{query}") == {"count": 0, "groups": []}


def test_a_sum_may_exceed_64_bits(alice: Person) -> None:
    for number in (99_999_999_999, 10**30, 0.5):
        assert alice.post([{**CLICK, "data": {"a": number}}] * 1000).status_code == 201
    (group,) = summary(alice, "?sum=data.a")["groups"]
    assert group["sum"] == "1000000000000000000099999999999500"
    assert (group["min"], group["max"]) == ("0.5", f"1{'0' * 30}")


def read_table(person: Person, query: str, media_type: str = "text/csv") -> list[list[str]]:
    response = person.get(query, Accept=media_type)
    assert response.mimetype == "text/csv"
    assert "Accept" in response.vary
    return list(csv.reader(io.StringIO(response.text, newline="")))


def test_a_summary_is_a_table_of_its_counts(person_with_shop_events: Person) -> None:
    table = read_table(person_with_shop_events, "/summary?bucket=year")
    assert table == [
        ["date", "name", "count"],
        ["2021-01-01T00:00:00.000Z", "click", "3"],
        ["2021-01-01T00:00:00.000Z", "payment", "2"],
        ["2022-01-01T00:00:00.000Z", "click", "1"],
    ]
    marked = read_table(person_with_shop_events, "/summary", "text/csv; bom=1")
    assert marked[0][0] == "\ufeffdate"


def test_cells_are_guarded_as_in_a_listing(alice: Person) -> None:
    cells = [text[:255] for text in (*HOSTILE_CELLS, *FORMULAS, "\ta", "plain", '"')]
    assert alice.post([{**CLICK, "name": cell} for cell in cells]).status_code == 201
    for column, query in enumerate(["/summary?by=name", "/summary?bucket=year"]):
        names = {row[column] for row in read_table(alice, query)[1:]}
        assert names == {row[1] for row in read_table(alice, "")[1:]}


def test_the_cells_of_members_show_their_kind(alice: Person) -> None:
    members: list[Any] = ["=1", -5, True, None, ["=1"], {"a": 1}, ""]
    assert alice.post([{**CLICK, "data": {"a": member}} for member in members]).status_code == 201
    alice.post({**CLICK, "data": {}})
    response = alice.get("/summary?by=data.a", Accept="text/csv")
    assert response.text.splitlines() == [
        '"data.a",count,traces',
        ",1,1",
        '"",1,1',
        """"'=1",1,1""",
        "-5,1,1",
        '"[""=1""]",1,1',
        "null,1,1",
        "true,1,1",
        '"{""a"":1}",1,1',
    ]


def test_the_names_of_a_bucket_may_be_longer_than_a_page(alice: Person) -> None:
    names = [f"{number}{'n' * 240}" for number in range(9000)]
    assert alice.post([{**CLICK, "name": name} for name in names]).status_code == 201
    counts = summary(alice)
    assert counts["names"].keys() == counts["buckets"][0]["names"].keys() == set(names)


@pytest.mark.before_database
def test_a_summary_requires_a_key(alice: Person) -> None:
    assert alice.client.get(f"{EVENTS}/summary").status_code == 401
