from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.api import CLICK, EVENTS, Person
from support.generated import (
    Event,
    dates,
    encoded,
    events,
    examples,
    expected,
    listed,
    same,
    values,
)
from support.pages import ORDERS, following, get, ids

pytestmark = [pytest.mark.each_database, pytest.mark.usefixtures("pages_of_three_events")]

names = st.text(st.characters(codec="utf-8", exclude_characters='."\0'), min_size=1, max_size=20)
orders = st.sampled_from(ORDERS)
limits = st.integers(1, 5)


class Shop:
    """Somebody who posts events, and knows what has been posted."""

    def __init__(self, person: Person, data: st.DataObject) -> None:
        few = st.sampled_from(data.draw(st.lists(dates, min_size=1, max_size=4)))
        self.dates = few | dates
        self.person, self.posted = person, list[Event]()
        self.post(data.draw(st.lists(self.dates, max_size=12)))

    def post(self, dates: list[str]) -> None:
        for date in dates:
            self.posted.append({**CLICK, "id": len(self.posted), "date": date})
            assert self.person.post(self.posted[-1]).status_code == 201

    def follow(self, step: str, data: st.DataObject) -> tuple[list[int], str]:
        """Follow pages of any size until one is empty or the last, while others arrive.

        Returns all ids, and the address that came last.
        """
        found: list[int] = []
        while True:
            answer = get(self.person, re.sub(r"(limit=)\d", rf"\g<1>{data.draw(limits)}", step))
            found += ids(answer)
            assert len(found) == len(set(found))
            self.post(data.draw(st.lists(self.dates, max_size=3 if len(found) < 20 else 0)))
            step = following(answer) or step
            if not ids(answer) or "Link" not in answer.headers:
                return found, step


def in_order(order: str, stored: list[Event]) -> list[int]:
    by_date = [event["id"] for event in expected(stored)]
    arrived = [event["id"] for event in stored]
    return {"date": by_date, "newest": by_date[::-1], "arrival": arrived}[order]


@given(st.data(), orders)
@examples
def test_pages_hold_each_event_once_and_in_order_while_others_arrive(
    newcomer: Callable[[], Person], data: st.DataObject, order: str
) -> None:
    shop = Shop(newcomer(), data)
    there = shop.posted[:]
    found, _ = shop.follow(f"{EVENTS}?order={order}&limit=1", data)
    assert [id_ for id_ in found if id_ < len(there)] == in_order(order, there)
    assert found == in_order(order, [event for event in shop.posted if event["id"] in found])


@given(st.data())
@examples
def test_a_client_that_follows_arrivals_misses_no_event(
    newcomer: Callable[[], Person], data: st.DataObject
) -> None:
    shop = Shop(newcomer(), data)
    found, step = shop.follow(f"{EVENTS}?order=arrival&limit=1", data)
    while len(found) < len(shop.posted):
        more, step = shop.follow(step, data)
        assert more
        found += more
    assert found == in_order("arrival", shop.posted)


@given(st.lists(events, min_size=1, max_size=6), st.data())
@examples
def test_a_batch_stores_the_same_as_its_events_one_by_one(
    newcomer: Callable[[], Person], batch: list[Event], data: st.DataObject
) -> None:
    single, array, lines = newcomer(), newcomer(), newcomer()
    texts = [data.draw(encoded(st.just(event))) for event in batch]
    for text in texts:
        assert single.post(text).status_code == 201
    assert array.post(b"[" + b",".join(texts) + b"]").status_code == 201
    flat = b"\n".join(text.replace(b"\n", b" ").replace(b"\t", b" ") for text in texts)
    headers = {**lines.headers, "Content-Encoding": "gzip"}
    kind = "application/x-ndjson"
    packed = gzip.compress(flat)
    answer = lines.client.post(EVENTS, data=packed, content_type=kind, headers=headers)
    assert answer.status_code == 201
    assert same(listed(single), expected(batch))
    listings = {get(person, EVENTS).data for person in (single, array, lines)}
    assert len(listings) == 1


@given(st.dictionaries(names, values, min_size=1, max_size=4), st.booleans(), st.data())
@examples
def test_each_member_of_data_is_found_by_its_value(
    newcomer: Callable[[], Person], members: dict[str, Any], is_ascii: bool, data: st.DataObject
) -> None:
    person = newcomer()
    inner = data.draw(st.sampled_from(["", "a.", "a.b."]))
    outer: dict[str, Any] = members
    for name in reversed(inner.split(".")[:-1]):
        outer = {name: outer}
    body = json.dumps({**CLICK, "data": outer}, ensure_ascii=is_ascii).encode()
    assert person.post(body).status_code == 201
    assert person.post(CLICK).status_code == 201
    for name, value in members.items():
        written = json.dumps(value, ensure_ascii=is_ascii, separators=(",", ":"))
        said = value if isinstance(value, str) else written
        if "\0" not in said:  # SQLite before 3.45 takes a string to end there
            found = listed(person, "?" + urlencode({f"data.{inner}{name}": said}))
            assert same([event["data"] for event in found], [outer])


@given(st.text() | st.from_regex(r"[0-9]{1,20}(-[0-9]{8}T[0-9]{9})?", fullmatch=True), orders)
@example("0-00000000T000000000", "newest")
@example("999999999999999999-99999999T999999999", "date")
@examples
def test_any_text_as_a_cursor_is_accepted_or_rejected(
    resident: Person, text: str, order: str
) -> None:
    answer = resident.get(f"?order={order}&limit=3&cursor={quote(text)}")
    with answer:
        assert answer.status_code in (200, 400, 410)


@given(st.text(), st.text())
@examples
def test_any_parameter_is_accepted_or_rejected(resident: Person, name: str, value: str) -> None:
    for text in (name, f"data.{name}"):
        answer = resident.get("?" + urlencode({text: value}))
        with answer:
            assert answer.status_code in (200, 400)
