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
    """A client that posts events and keeps a list of them."""

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
        """Follow pages of any size until an empty or last one, while new events arrive.

        Returns all ids and the last address.
        """
        event_ids: list[int] = []
        while True:
            response = get(self.person, re.sub(r"(limit=)\d", rf"\g<1>{data.draw(limits)}", step))
            event_ids += ids(response)
            assert len(event_ids) == len(set(event_ids))
            self.post(data.draw(st.lists(self.dates, max_size=3 if len(event_ids) < 20 else 0)))
            step = following(response) or step
            if not ids(response) or "Link" not in response.headers:
                return event_ids, step


def in_order(order: str, stored: list[Event]) -> list[int]:
    by_date = [event["id"] for event in expected(stored)]
    arrived = [event["id"] for event in stored]
    return {"date": by_date, "newest": by_date[::-1], "arrival": arrived}[order]


@given(st.data(), orders)
@examples
def test_pages_contain_each_event_once_and_in_order_while_others_arrive(
    newcomer: Callable[[], Person], data: st.DataObject, order: str
) -> None:
    shop = Shop(newcomer(), data)
    posted_before = shop.posted[:]
    event_ids, _ = shop.follow(f"{EVENTS}?order={order}&limit=1", data)
    assert [id_ for id_ in event_ids if id_ < len(posted_before)] == in_order(order, posted_before)
    assert event_ids == in_order(
        order, [event for event in shop.posted if event["id"] in event_ids]
    )


@given(st.data())
@examples
def test_a_client_that_follows_arrivals_misses_no_event(
    newcomer: Callable[[], Person], data: st.DataObject
) -> None:
    shop = Shop(newcomer(), data)
    event_ids, step = shop.follow(f"{EVENTS}?order=arrival&limit=1", data)
    while len(event_ids) < len(shop.posted):
        more, step = shop.follow(step, data)
        assert more
        event_ids += more
    assert event_ids == in_order("arrival", shop.posted)


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
    lines_of_json = b"\n".join(text.replace(b"\n", b" ").replace(b"\t", b" ") for text in texts)
    headers = {**lines.headers, "Content-Encoding": "gzip"}
    kind = "application/x-ndjson"
    compressed = gzip.compress(lines_of_json)
    response = lines.client.post(EVENTS, data=compressed, content_type=kind, headers=headers)
    assert response.status_code == 201
    assert same(listed(single), expected(batch))
    listings = {get(person, EVENTS).data for person in (single, array, lines)}
    assert len(listings) == 1


@given(st.dictionaries(names, values, min_size=1, max_size=4), st.booleans(), st.data())
@examples
def test_a_filter_finds_each_member_of_data_by_its_value(
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
        text = value if isinstance(value, str) else written
        matches = listed(person, "?" + urlencode({f'data.{inner}"{name}"': text}))
        assert same([event["data"] for event in matches], [outer])


@given(
    st.text()
    | st.from_regex(r"(k[0-9a-f]{15,17}|[0-9]{1,20})(-[0-9]{8}T[0-9]{9})?", fullmatch=True),
    orders,
)
@example("0-00000000T000000000", "newest")
@example("999999999999999999-99999999T999999999", "date")
@examples
def test_any_text_as_a_cursor_is_accepted_or_rejected(
    person_with_events: Person, text: str, order: str
) -> None:
    response = person_with_events.get(f"?order={order}&limit=3&cursor={quote(text)}")
    with response:
        assert response.status_code in (200, 400, 410)


@given(st.text(), st.text())
@examples
def test_any_parameter_is_accepted_or_rejected(
    person_with_events: Person, name: str, value: str
) -> None:
    for text in (name, f"data.{name}"):
        response = person_with_events.get("?" + urlencode({text: value}))
        with response:
            assert response.status_code in (200, 400)
