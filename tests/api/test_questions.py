from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from support.api import EVENTS, Person
from support.generated import many_examples
from support.questions import CATALOG, Model, Query, decode, encode, matches, queries
from support.traces import described, is_selected, selected_traces, stories, trace_queries

from bytelog.auth import keys

pytestmark = pytest.mark.each_database

projects = count()


@pytest.fixture
def record(shared_app: Flask) -> Callable[[list[Model]], Person]:
    """Return a function that records events in a project of their own."""

    def record_in_project(stored: list[Model]) -> Person:
        with shared_app.app_context():
            key = keys.create("model", f"model {next(projects)}")
        person = Person(shared_app.test_client(), key)
        batch = f"[{','.join(event.text() for event in stored)}]".encode()
        response = person.client.post(
            EVENTS, data=batch, headers=person.headers, content_type="application/json"
        )
        assert response.status_code == 201, response.text
        return person

    return record_in_project


def get(person: Person, path: str, *parameters: Query) -> Any:
    response = person.get(f"{path}?{encode(*parameters)}")
    assert response.status_code == 200, response.text
    return decode(response.text)


@pytest.fixture
def catalog(record: Callable[[list[Model]], Person]) -> Person:
    """Return a person whose project has an event for each value of each member."""
    return record(CATALOG)


@many_examples
@given(queries)
def test_filters_select_the_events_of_the_model(catalog: Person, query: list[Query]) -> None:
    selected = [event.id for event in CATALOG if all(matches(event, each) for each in query)]
    listing = get(catalog, "", *query, [("order", "arrival")])
    assert [int(event["id"]) for event in listing["events"]] == selected


@many_examples
@given(stories, trace_queries, st.integers(1, 3))
def test_traces_are_those_of_the_model_page_by_page(
    record: Callable[[list[Model]], Person], stored: list[Model], query: list[Query], limit: int
) -> None:
    person = record(stored)
    arrival = {id(event): number for number, event in enumerate(stored)}
    traces = [each for each in selected_traces(stored, query).values() if is_selected(each, query)]
    traces.sort(key=lambda events: (events[0].date, arrival[id(events[0])]), reverse=True)
    pages = read_pages(person, f"/traces?{encode(*query, [('limit', str(limit))])}")
    found = [trace for page in pages for trace in page["traces"]]
    assert found == [described(events) for events in traces]
    assert all(page["count"] == len(page["traces"]) <= limit for page in pages)


def read_pages(person: Person, path: str) -> list[Any]:
    response = person.get(path)
    assert response.status_code == 200, response.text
    link = response.headers.get("Link")
    following = link[1 : link.index(">")] if link else ""
    pages = read_pages(person, f"/traces{following}") if following else []
    return [response.json, *pages]
