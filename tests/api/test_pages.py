from __future__ import annotations

import re
import threading
from collections.abc import Callable
from itertools import chain
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from flask import Flask
from sqlalchemy import event, select
from support.api import CLICK, EVENTS, Person
from support.pages import ORDERS, following, get, ids

from bytelog.api.cursors import CURSOR_PATTERN
from bytelog.config import MAX_LIMIT
from bytelog.storage.database import db, fetch
from bytelog.storage.models import Project
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

DATES = [3, 1, 2, 2, 5, 1, 1, 2, 4, 1, 2, 5]  # days, in the order of arrival
TRACE = f"{EVENTS}/trace/a%2Fb"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bytelog.queries.pages.PAGE_EVENTS", 2)


def post(person: Person, id_: int, day: int) -> None:
    changes = {"id": id_, "trace_id": "a/b", "date": f"2021-08-{day:02}"}
    assert person.post({**CLICK, **changes}).status_code == 201


def pages(person: Person, address: str, between: Callable[[], object] = bool) -> list[list[int]]:
    """Return the ids on each page, up to an empty or last one."""
    found_ids = []
    step: str | None = address
    while step:
        response = get(person, step)
        found_ids.append(ids(response))
        assert len(found_ids) < 200
        step = following(response) if found_ids[-1] else None
        between()
    return found_ids


def expected(order: str, days: list[int]) -> list[int]:
    arrived = list(range(len(days)))
    if order == "arrival":
        return arrived
    by_date = sorted(arrived, key=lambda number: days[number])
    return by_date if order == "date" else by_date[::-1]


@pytest.fixture
def shop(alice: Person, bob: Person) -> Person:
    for number, day in enumerate(DATES):
        post(alice, number, day)
        post(bob, 100 + number, day)
    return alice


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("path", [EVENTS, TRACE])
def test_pages_of_any_size_contain_every_event_once(shop: Person, path: str, order: str) -> None:
    whole = expected(order, DATES)
    assert ids(get(shop, f"{path}?order={order}")) == whole
    for limit in (1, 2, 3, 5, 11, 12, 13, MAX_LIMIT):
        parts = pages(shop, f"{path}?order={order}&limit={limit}")
        assert list(chain(*parts)) == whole
        assert all(len(part) == limit for part in parts[: len(whole) // limit])
        assert len(parts) == -(-len(whole) // limit) + (order == "arrival")


@pytest.mark.parametrize("order", ORDERS)
def test_pages_keep_their_window_and_their_filters(shop: Person, order: str) -> None:
    query = f"?order={order}&limit=2&start=2021-08-02&end=2021-08-05&name=click"
    days = [day if 2 <= day < 5 else 0 for day in DATES]
    expected_ids = [number for number in expected(order, DATES) if days[number]]
    assert list(chain(*pages(shop, EVENTS + query))) == expected_ids
    assert list(chain(*pages(shop, f"{EVENTS}?limit=1&order={order}&start=2021-08-05"))) == [
        number for number in expected(order, DATES) if DATES[number] == 5
    ]
    assert pages(shop, f"{EVENTS}?order={order}&start=2021-08-05&end=2021-08-02&limit=1") == [[]]


@pytest.mark.parametrize(
    ("query", "window", "within"),
    [
        ("order=date&limit=1", "start=2021-08-04", [8, 4, 11]),
        ("order=date&limit=11", "end=2021-08-05", []),
        ("order=newest&limit=1", "end=2021-08-02", [9, 6, 5, 1]),
        ("order=newest&limit=10", "start=2021-08-02", []),
    ],
)
def test_a_cursor_outside_the_window_does_not_change_the_window(
    shop: Person, query: str, window: str, within: list[int]
) -> None:
    step = following(get(shop, f"{EVENTS}?{query}"))
    assert step
    assert ids(get(shop, f"{step.replace('limit=1&', 'limit=12&')}&{window}")) == within


@pytest.mark.parametrize("order", ["date", "newest"])
def test_pages_neither_skip_nor_repeat_while_others_arrive(shop: Person, order: str) -> None:
    arriving = iter(range(1000, 1100))

    def arrive() -> None:
        for day, number in zip((1, 2, 5), arriving, strict=False):
            post(shop, number, day)

    earlier = [number for number in expected(order, DATES) if DATES[number] < 4]
    for limit in (1, 2, 3, 5):
        query = f"?order={order}&limit={limit}&end=2021-08-04"
        found_ids = list(chain(*pages(shop, EVENTS + query, arrive)))
        assert [number for number in found_ids if number < 1000] == earlier
        assert len(found_ids) == len(set(found_ids))


@pytest.mark.parametrize("order", ORDERS)
def test_an_event_that_arrives_between_two_statements_of_a_page_is_listed_once(
    app: Flask, shop: Person, order: str
) -> None:
    arrived = list(range(12))
    lock = threading.Lock()  # Pages are read in threads.

    def arrive(*arguments: Any) -> None:
        if len(arrived) < 200 and "FROM event" in arguments[2]:
            with lock:
                date = f"2021-08-0{1 + len(arrived) % 5}T00:00:00.000Z"
                arrived.append(1000 + len(arrived))
                writer.append([(project_id, arrived[-1], "click", "a/b", date, "{}")])

    with app.app_context():
        writer = current_writer()
        project_id = fetch(db.engine, select(Project.id).where(Project.name == "shop"))[0].id
        event.listen(db.engine, "after_cursor_execute", arrive)
        found_ids = list(chain(*pages(shop, f"{EVENTS}?order={order}&limit=5")))
        event.remove(db.engine, "after_cursor_execute", arrive)
    assert len(found_ids) == len(set(found_ids))
    assert [number for number in found_ids if number < 12] == expected(order, DATES)
    if order == "arrival":
        assert found_ids == arrived


def test_a_cursor_by_arrival_misses_no_late_event(shop: Person) -> None:
    step = following(get(shop, f"{EVENTS}?order=arrival"))
    for number, day in enumerate([1, 28, 1, 15, 1], 1000):
        assert step
        assert ids(get(shop, step)) == []
        post(shop, number, day)
        response = get(shop, step)
        assert ids(response) == [number]
        step = following(response)


def test_a_cursor_by_arrival_advances_past_events_that_a_filter_hides(shop: Person) -> None:
    response = get(shop, f"{EVENTS}?order=arrival&name=unknown&limit=3")
    assert ids(response) == []
    step = following(response)
    assert step
    shop.post({**CLICK, "id": 7, "name": "unknown"})
    assert ids(get(shop, step)) == [7]
    assert ids(get(shop, step.replace("name=unknown", "name=click"))) == []


def test_the_last_page_has_no_next_link(shop: Person) -> None:
    for query in ("", "?limit=12", "?order=newest", "?order=newest&limit=10000", "?id=3&limit=1"):
        assert "Link" not in get(shop, EVENTS + query).headers
    assert "Link" in get(shop, f"{EVENTS}?limit=11").headers


def test_a_link_works_behind_a_proxy_and_with_any_parameter(alice: Person) -> None:
    text = "a&b=c #%?+é;\n<>'"
    for number in range(3):
        alice.post({**CLICK, "id": number, "name": text, "trace_id": text, "data": {text: text}})
    encoded = quote(text, safe="")
    query = f"?limit=1&name={encoded}&data.{encoded}={encoded}"
    assert pages(alice, EVENTS + query) == [[0], [1], [2]]
    assert pages(alice, f"{EVENTS}/trace/{encoded}{query}") == [[0], [1], [2]]
    response = get(alice, f"{EVENTS}/trace/{encoded}{query}")
    outside = f"https://shop.example/log/trace/{encoded}"
    reference = response.headers["Link"].partition(">")[0][1:]
    assert urljoin(outside + query, reference).startswith(outside + "?limit=1&name=")


def test_the_cursor_of_another_project_grants_no_access(shop: Person, bob: Person) -> None:
    for order in ORDERS:
        step = following(get(shop, f"{EVENTS}?order={order}&limit=4"))
        assert step
        assert all(number >= 100 for number in list(chain(*pages(bob, step))))


@pytest.mark.parametrize("order", ORDERS)
def test_a_modified_cursor_is_rejected_or_is_another_position(shop: Person, order: str) -> None:
    step = following(get(shop, f"{EVENTS}?order={order}&limit=3"))
    assert step
    base, cursor = step.split("cursor=")
    invalid = ["a", " ", "-1", "9" * 19, "9" * 5000, "١", "%00", "%FF", "é", "==", "", cursor + "Z"]
    changed = [
        cursor[:i] + letter + cursor[i + 1 :] for i in range(len(cursor)) for letter in "9-Z"
    ]
    for text in [*invalid, *changed, cursor[:-1], cursor + "0", cursor * 2, "0", "9" * 18]:
        address = f"{base}cursor={text}"
        response = shop.client.get(address, headers=shop.headers, buffered=True)
        is_cursor = text not in invalid and re.fullmatch(CURSOR_PATTERN, text)
        assert response.status_code in ((200, 400, 410) if is_cursor else (400,)), text


@pytest.mark.parametrize(("order", "other"), [("arrival", "date"), ("newest", "arrival")])
def test_a_cursor_of_another_order_is_rejected(shop: Person, order: str, other: str) -> None:
    step = following(get(shop, f"{EVENTS}?order={order}&limit=3"))
    assert step
    cursor = step.partition("cursor=")[2]
    assert shop.get(f"?order={order}&cursor={cursor}").status_code == 200
    assert shop.get(f"?order={other}&cursor={cursor}").status_code == 400


def test_only_the_order_of_arrival_has_an_end(alice: Person) -> None:
    assert alice.get("?order=arrival&cursor=end").status_code == 200
    for order in ("date", "newest"):
        assert alice.get(f"?order={order}&cursor=end").status_code == 400


def test_cursors_do_not_show_how_much_other_projects_record(alice: Person, bob: Person) -> None:
    def cursor() -> str:
        link = alice.get("?order=arrival").headers["Link"]
        return link.partition("cursor=")[2].partition(">")[0]

    alice.post(CLICK)
    first, again = cursor(), cursor()
    bob.post([CLICK] * 100)
    # Without the random bits a cursor would change only if somebody has recorded an event.
    assert len({first, again, cursor()}) == 3
    epoch = first.partition("-")[2]
    for key in (1, 50, 101, 200):
        assert alice.get(f"?order=arrival&cursor={key}").status_code == 410
        assert alice.get(f"?order=arrival&cursor={key}-{epoch}").status_code == 410
