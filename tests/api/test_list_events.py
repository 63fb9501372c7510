from __future__ import annotations

import pytest
from support.api import CLICK, Person

from bytelog.queries.pages import PAGE_EVENTS

pytestmark = pytest.mark.each_database


def post_days(person: Person, *dates: str) -> None:
    for number, date in enumerate(dates):
        assert person.post({**CLICK, "id": number, "date": date}).status_code == 201


def ids(person: Person, query: str = "") -> list[int]:
    return [event["id"] for event in person.events(query)]


def test_an_empty_project_has_no_events(alice: Person) -> None:
    response = alice.get()
    assert response.data == b'{"count":0,"events":[]}'
    assert response.content_type == "application/json"


def test_events_are_ordered_by_date_and_equal_dates_by_arrival(alice: Person) -> None:
    post_days(alice, "2021-08-16", "2021-08-15", "2021-08-16", "2021-08-14", "2021-08-15")
    assert ids(alice) == [3, 1, 4, 0, 2]


def test_the_window_includes_start_and_excludes_end(alice: Person) -> None:
    post_days(
        alice,
        "2021-08-14T23:59:59.999Z",
        "2021-08-15T00:00:00.000Z",
        "2021-08-15T23:59:59.999Z",
        "2021-08-16T00:00:00.000Z",
    )
    assert ids(alice, "?start=2021-08-15&end=2021-08-16") == [1, 2]
    assert ids(alice, "?start=2021-08-15") == [1, 2, 3]
    assert ids(alice, "?end=2021-08-15") == [0]
    assert ids(alice, "?start=2021-08-16&end=2021-08-15") == []


def test_start_and_end_may_be_full_timestamps(alice: Person) -> None:
    post_days(alice, "2021-08-15T10:00:00Z", "2021-08-15T11:00:00Z")
    assert ids(alice, "?start=2021-08-15T12:30:00%2B02:00") == [1]
    assert ids(alice, "?end=2021-08-15T10:00:00.001Z") == [0]


@pytest.mark.before_database
@pytest.mark.parametrize(
    "query",
    [
        "?start=yesterday",
        "?start=",
        "?end=2021-02-30",
        "?begin=2021-08-15",
        "?start=2021-08-15&start=2021-08-16",
    ],
)
def test_an_invalid_parameter_gets_400(alice: Person, query: str) -> None:
    response = alice.get(query)
    assert response.status_code == 400
    assert response.data == b'{"error": "validation error"}'


def test_a_head_request_gets_only_the_headers(alice: Person) -> None:
    post_days(alice, "2021-08-15")
    response = alice.client.head("/api/v1/events", headers=alice.headers)
    assert (response.status_code, response.data) == (200, b"")


@pytest.mark.slow
@pytest.mark.parametrize("date", ["2021-08-15", None])
def test_a_listing_of_many_pages_is_complete_and_in_order(alice: Person, date: str | None) -> None:
    # Pages split equal dates by arrival; with some different dates, both kinds of split occur.
    number = 2 * PAGE_EVENTS + 1
    dates = [date or f"2021-08-15T00:00:{i * 60 // number:02}Z" for i in range(number)]
    events = [{**CLICK, "id": i, "date": moment} for i, moment in enumerate(dates)]
    assert alice.post(events).status_code == 201
    assert ids(alice) == list(range(number))
    trace = alice.read("/trace/03775690")
    assert [event["id"] for event in trace["events"]] == list(range(number))


def test_events_too_large_for_one_page_are_listed_too(alice: Person) -> None:
    sent = [{**CLICK, "id": i, "data": {"text": f"{i}" * 1_000_000}} for i in range(9)]
    for event in sent:
        assert alice.post(event).status_code == 201
    assert alice.events() == sent


def test_days_begin_in_the_time_zone(alice: Person) -> None:
    moments = ["27T22:59:59", "27T23:00", "28T00:30", "28T00:31", "28T21:59", "28T22:00"]
    post_days(alice, *(f"2021-03-{moment}" for moment in moments))
    assert ids(alice, "?start=2021-03-28&end=2021-03-29&tz=Europe/Berlin") == [1, 2, 3, 4]
    # This time did not exist: the clocks were set forward from 2:00 to 3:00.
    assert ids(alice, "?start=2021-03-28T02:30&tz=Europe/Berlin") == [4, 5]
    assert ids(alice, "?start=2021-03-28T01:31&end=2021-03-28T02:00Z&tz=Europe/Berlin") == [3]
    assert ids(alice, "?end=2021-03-28&tz=America/New_York") == [0, 1, 2, 3]
