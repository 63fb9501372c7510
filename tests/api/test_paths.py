from __future__ import annotations

from typing import Any

import pytest
from support.api import CLICK, EVENTS, Person

from bytelog.queries.trace_order import CHUNK_CHARACTERS

pytestmark = pytest.mark.each_database

VISITS = {
    "anna": [("visit", 0), ("sign_up", 10), ("payment", 70)],
    "ben": [("visit", 5), ("sign_up", 25)],
    "carl": [("visit", 6), ("visit", 8), ("payment", 9)],
    "dora": [("visit", 7), ("sign_up", 49)],
}


@pytest.fixture
def person_with_visits(alice: Person) -> Person:
    events = [
        {**CLICK, "name": name, "trace_id": trace, "date": f"2021-08-15T09:{second // 60:02}:"
         f"{second % 60:02}.250Z", "data": {"city": "Lima" if trace == "anna" else "Rome"}}
        for trace, steps in VISITS.items()
        for name, second in steps
    ]  # fmt: skip
    assert alice.post(events[::-1]).status_code == 201
    return alice


def paths(person: Person, query: str = "") -> dict[str, Any]:
    return person.read(f"/paths{query}")


def flow(person: Person, query: str = "") -> dict[tuple[str, str], tuple[int, float]]:
    return {
        (transition["from"], transition["to"]): (transition["count"], transition["median_seconds"])
        for transition in paths(person, query)["transitions"]
    }


def test_paths_count_steps_and_their_durations(person_with_visits: Person) -> None:
    assert flow(person_with_visits) == {
        ("visit", "sign_up"): (3, 20),
        ("sign_up", "payment"): (1, 60),
        ("visit", "payment"): (1, 1),
        ("visit", "visit"): (1, 2),
    }


def test_the_median_of_two_durations_lies_between_them(person_with_visits: Person) -> None:
    assert flow(person_with_visits, "?data.city=Rome")["visit", "sign_up"] == (2, 31)


def test_paths_count_where_traces_start_and_end(person_with_visits: Person) -> None:
    result = paths(person_with_visits)
    assert (result["count"], result["traces"]) == (10, 4)
    assert result["names"] == [
        {"name": "visit", "count": 5, "starts": 4, "ends": 0},
        {"name": "sign_up", "count": 3, "starts": 0, "ends": 2},
        {"name": "payment", "count": 2, "starts": 0, "ends": 2},
    ]


def test_the_most_frequent_step_comes_first(person_with_visits: Person) -> None:
    counts = [transition["count"] for transition in paths(person_with_visits)["transitions"]]
    assert counts == sorted(counts, reverse=True)


def test_filters_and_window_select_whole_traces(person_with_visits: Person) -> None:
    whole = {("visit", "sign_up"): (1, 10), ("sign_up", "payment"): (1, 60)}
    assert flow(person_with_visits, "?data.city=Lima&name=visit") == whole
    assert flow(person_with_visits, "?start=2021-08-15T09:01") == whole


def test_in_the_scope_of_events_a_window_cuts_traces_at_its_bounds(
    person_with_visits: Person,
) -> None:
    window = "?start=2021-08-15T09:00:08Z&end=2021-08-15T09:01&scope=events"
    assert flow(person_with_visits, window) == {("visit", "payment"): (1, 1)}


def test_in_the_scope_of_events_filtered_events_follow_each_other_directly(
    person_with_visits: Person,
) -> None:
    assert flow(person_with_visits, "?name=visit&scope=events") == {("visit", "visit"): (1, 2)}
    assert paths(person_with_visits, "?trace_id=anna")["traces"] == 1


def test_an_empty_project_has_no_paths(bob: Person, person_with_visits: Person) -> None:
    assert paths(bob) == {"count": 0, "traces": 0, "names": [], "transitions": []}


def test_equal_dates_are_ordered_by_arrival(alice: Person) -> None:
    alice.post([{**CLICK, "name": "b"}, {**CLICK, "name": "a"}])
    assert flow(alice) == {("b", "a"): (1, 0)}


def test_a_trace_with_long_texts_is_counted_whole(alice: Person) -> None:
    names, trace = ("\x01" * 255, "\U0001f600" * 255), "\x1f" * 255
    events = [
        {**CLICK, "name": names[number % 2], "trace_id": trace,
         "date": f"2021-08-15T09:{number // 60:02}:{number % 60:02}Z"}
        for number in range(1200)
    ]  # fmt: skip
    assert 2 * CHUNK_CHARACTERS < 1200 * 2 * 255
    for start in (800, 0, 400):
        assert alice.post(events[start : start + 400]).status_code == 201
    assert flow(alice) == {names: (600, 1), names[::-1]: (599, 1)}
    assert paths(alice)["traces"] == 1


@pytest.mark.before_database
@pytest.mark.parametrize(
    "query", ["?bucket=day", "?limit=5", "?start=soon", "?start=2021&name=a", "?scope=all"]
)
def test_a_bad_parameter_gets_400(alice: Person, query: str) -> None:
    assert alice.get(f"/paths{query}").status_code == 400


def test_paths_with_too_many_pairs_get_400_with_advice(
    person_with_visits: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.groups.MAX_GROUPS", 2)
    response = person_with_visits.get("/paths", Accept="application/problem+json")
    assert response.status_code == 400
    assert response.json is not None
    assert "shorter window" in response.json["errors"][0]["detail"]


@pytest.mark.before_database
def test_paths_require_a_key(alice: Person) -> None:
    assert alice.client.get(f"{EVENTS}/paths").status_code == 401
