from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.api import CLICK, EVENTS, Person

from bytelog import timestamps
from bytelog.config import MAX_FUNNEL_STEPS, MAX_NAMES_OF_TRACES

pytestmark = pytest.mark.each_database

ORDERS = {
    "paid": [("order", 0), ("paypal_payment", 30)],
    "late": [("order", 5), ("paypal_payment", 905)],
    "never": [("visit", 6), ("order", 7)],
    "twice": [("order", 10), ("paypal_payment", 20), ("order", 30)],
    "late and never": [("order", 11), ("paypal_payment", 911), ("order", 912)],
    "visit": [("visit", 12)],
}


def post(person: Person, trace: str, name: str, date: datetime) -> None:
    event = {**CLICK, "name": name, "trace_id": trace, "date": timestamps.format_utc(date)}
    assert person.post(event).status_code == 201


@pytest.fixture
def shop(alice: Person) -> Person:
    for trace, events in ORDERS.items():
        for name, seconds in events:
            post(alice, trace, name, datetime(2021, 8, 15, 9, tzinfo=UTC) + timedelta(0, seconds))
    return alice


def traces(person: Person, query: str = "") -> list[str]:
    return [trace["trace_id"] for trace in person.read(f"/traces{query}")["traces"]]


def test_a_trace_is_described_by_its_dates_and_names(shop: Person) -> None:
    assert shop.read("/traces?limit=1")["traces"] == [
        {
            "trace_id": "visit",
            "first": "2021-08-15T09:00:12.000Z",
            "last": "2021-08-15T09:00:12.000Z",
            "seconds": 0,
            "count": 1,
            "names": ["visit"],
        }
    ]
    (late,) = shop.read("/traces?trace_id=late")["traces"]
    assert late["seconds"] == 900
    assert late["names"] == ["order", "paypal_payment"]


def test_a_long_trace_is_described_by_its_first_names(alice: Person) -> None:
    events = [{**CLICK, "name": f"step {i}", "date": f"2021-08-15T09:00:{i:02}"} for i in range(50)]
    assert alice.post(events).status_code == 201
    (trace,) = alice.read("/traces")["traces"]
    assert trace["count"] == 50
    assert trace["names"] == [f"step {i}" for i in range(20)]


def test_traces_are_listed_by_the_date_of_their_first_event_newest_first(shop: Person) -> None:
    assert traces(shop) == list(ORDERS)[::-1]


def test_traces_have_an_event_in_the_window_and_are_whole(shop: Person) -> None:
    assert traces(shop, "?start=2021-08-15T09:10:00Z") == ["late and never", "late"]
    assert traces(shop, "?name=visit") == ["visit", "never"]
    assert traces(shop, "?name=visit&having=order") == ["never"]
    assert traces(shop, "?lacking=order") == ["visit"]


def test_traces_tell_which_orders_were_never_paid_paid_late_or_paid(shop: Person) -> None:
    expected = "?from=order&to=paypal_payment&within=600"
    assert traces(shop, expected) == ["late and never", "twice", "never"]
    assert traces(shop, f"{expected}&state=late") == ["late"]
    assert traces(shop, f"{expected}&state=done") == ["paid"]


def test_traces_have_names_that_follow_one_another_directly_and_a_last_one(alice: Person) -> None:
    noon = datetime(2021, 8, 15, 12, 0, tzinfo=UTC)
    for trace, names in {"back": "aba", "twice": "aab", "longer": "acb"}.items():
        for seconds, name in enumerate(names):
            post(alice, trace, name, noon + timedelta(seconds=seconds))
    assert sorted(traces(alice, "?sequence=a&sequence=b")) == ["back", "twice"]
    assert traces(alice, "?sequence=a&sequence=a") == ["twice"]
    assert traces(alice, "?sequence=a&sequence=b&sequence=a") == ["back"]
    assert sorted(traces(alice, "?ending=b")) == ["longer", "twice"]
    assert traces(alice, "?sequence=a&sequence=b&ending=b") == ["twice"]


def test_a_trace_that_may_still_be_followed_in_time_is_in_no_state(alice: Person) -> None:
    now = datetime.now(UTC)
    post(alice, "waiting", "order", now - timedelta(minutes=1))
    post(alice, "overdue", "order", now - timedelta(minutes=3))
    for state, found in {"overdue": ["overdue"], "late": [], "done": []}.items():
        assert traces(alice, f"?from=order&to=payment&within=120&state={state}") == found


def test_a_page_leads_to_the_next_with_all_parameters(shop: Person) -> None:
    query, seen = "?limit=1&having=order&having=paypal_payment&lacking=visit", list[str]()
    while query:
        seen += traces(shop, query)
        link = shop.get(f"/traces{query}").headers.get("Link", "")
        query = link[1 : link.find(">")]
    assert seen == ["late and never", "twice", "late", "paid"]


def test_traces_of_another_project_are_not_listed(shop: Person, bob: Person) -> None:
    post(bob, "never", "paypal_payment", datetime(2021, 8, 15, 9, 0, 8, tzinfo=UTC))
    assert "never" in traces(shop, "?from=order&to=paypal_payment&within=600")
    assert traces(bob) == ["never"]
    assert traces(bob, "?having=order") == []


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from=order&within=60", "to"),
        ("to=order&within=60", "from"),
        ("from=order&to=payment", "within"),
        ("state=late", "from"),
        ("from=a&to=b&within=0", "within"),
        ("from=a&to=b&within=x", "within"),
        ("from=a&to=b&within=1&state=lost", "state"),
        ("from=a&from=b&to=b&within=1", "from"),
        ("within=60", "within"),
        ("reached=1", "reached"),
        ("stopped=1", "stopped"),
        ("step=a&reached=1", "step"),
        ("step=a&step=b", "reached"),
        ("step=a&step=b&reached=3", "reached"),
        ("step=a&step=b&stopped=0", "stopped"),
        ("step=a&step=b&stopped=1&reached=1", "reached"),
        ("step=a&step=b&from=a&to=b&within=1", "step"),
        ("&".join(["step=a"] * (MAX_FUNNEL_STEPS + 1)), "step"),
        ("&".join(["having=a"] * (MAX_NAMES_OF_TRACES + 1)), "having"),
        ("having=", "having"),
        ("limit=1001", "limit"),
        ("cursor=end", "cursor"),
        ("cursor=k0000000000000000", "cursor"),
        ("order=newest", "order"),
        ("name[gt]=a", "name[gt]"),
    ],
)
def test_a_bad_parameter_is_named(alice: Person, query: str, parameter: str) -> None:
    response = alice.get(f"/traces?{query}", Accept="application/problem+json")
    assert response.status_code == 400, response.text
    problems: dict[str, Any] = json.loads(response.text)
    assert [problem["parameter"] for problem in problems["errors"]] == [parameter]


def test_a_key_that_may_not_read_lists_no_traces(alice: Person) -> None:
    assert alice.client.get(f"{EVENTS}/traces").status_code == 401
