from __future__ import annotations

import json
from typing import Any

import pytest
from support.api import CLICK, Person

pytestmark = pytest.mark.each_database

BEFORE, AFTER = "2021-08-15", "2021-08-16"
DIFF = f"/paths/diff?start={AFTER}&against_end={AFTER}"


def post_traces(person: Person, day: str, number: int, *steps: tuple[str, int]) -> None:
    events = [
        {**CLICK, "name": name, "trace_id": f"{day} {steps} {trace}",
         "date": f"{day}T09:{second // 60:02}:{second % 60:02}Z"}
        for trace in range(number)
        for name, second in steps
    ]  # fmt: skip
    assert person.post(events).status_code == 201


def compare(person: Person, query: str = "") -> dict[str, Any]:
    changes = person.read(DIFF + query)
    return {
        kind: [f"{change['from']} {change['to']}" for change in changed]
        for kind, changed in changes.items()
        if isinstance(changed, list) and changed
    }


@pytest.fixture
def deployed(alice: Person) -> Person:
    for day, seconds in ((BEFORE, 10), (AFTER, 20)):
        post_traces(alice, day, 20, ("visit", 0), ("search", seconds), ("cart", 30))
    post_traces(alice, BEFORE, 20, ("cart", 0), ("order", 60))
    post_traces(alice, AFTER, 9, ("cart", 0), ("order", 60))
    post_traces(alice, BEFORE, 1, ("order", 0), ("paypal_payment", 60))
    post_traces(alice, AFTER, 3, ("order", 0), ("invoice", 60))
    post_traces(alice, BEFORE, 19, ("help", 0), ("call", 1))
    post_traces(alice, AFTER, 19, ("help", 0), ("call", 50))
    return alice


def test_transitions_are_new_gone_slower_or_rarer_than_before(deployed: Person) -> None:
    assert compare(deployed) == {
        "new": ["order invoice"],
        "gone": ["order paypal_payment"],
        "slower": ["visit search"],
        "faster": ["search cart"],
    }
    post_traces(deployed, AFTER, 20, ("about", 0))
    assert compare(deployed)["rarer"] == ["cart order"]


def test_a_change_is_described_in_both_windows(deployed: Person) -> None:
    changes = deployed.read(DIFF)
    assert (changes["traces"], changes["against_traces"]) == (51, 60)
    assert changes["slower"] == [
        {
            "from": "visit",
            "to": "search",
            "count": 20,
            "against_count": 20,
            "median_seconds": 20.0,
            "against_median_seconds": 10.0,
        }
    ]
    (new,) = changes["new"]
    assert (new["count"], new["against_count"], new["against_median_seconds"]) == (3, 0, None)


def test_filters_select_the_traces_of_both_windows(deployed: Person) -> None:
    assert compare(deployed, "&name=order") == {
        "new": ["order invoice"],
        "gone": ["order paypal_payment"],
    }


def test_the_reverse_comparison_finds_the_reverse_changes(deployed: Person) -> None:
    post_traces(deployed, AFTER, 20, ("about", 0))
    reverse = deployed.read(f"/paths/diff?end={AFTER}&against_start={AFTER}")
    assert [change["to"] for change in reverse["more_frequent"]] == ["order"]
    assert [change["to"] for change in reverse["new"]] == ["paypal_payment"]


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("start=2021-08-15", "against_start"),
        ("against_start=soon", "against_start"),
        ("against_end=2021-08-15&scope=all", "scope"),
        ("against_start=0001-01-01&tz=Europe/Berlin", "against_start"),
    ],
)
def test_a_bad_parameter_is_named(alice: Person, query: str, parameter: str) -> None:
    response = alice.get(f"/paths/diff?{query}", Accept="application/problem+json")
    assert response.status_code == 400
    errors = json.loads(response.text)["errors"]
    assert [error["parameter"] for error in errors] == [parameter]
