from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import Person
from support.generated import examples, many_examples
from support.questions import CATALOG, Model, Query, decode, encode, matches, queries
from support.traces import (
    described,
    funnel_of,
    funnels,
    group,
    is_matching,
    is_selected,
    paths_of,
    selected_traces,
    selections,
    stories,
    trace_queries,
)

pytestmark = pytest.mark.each_database


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


@examples
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


@examples
@given(stories, selections, st.sampled_from(["traces", "events"]))
def test_paths_are_those_of_the_model(
    record: Callable[[list[Model]], Person], stored: list[Model], query: list[Query], scope: str
) -> None:
    if scope == "traces":
        traces = list(selected_traces(stored, query).values())
    else:
        traces = list(group([event for event in stored if is_matching(event, query)]).values())
    paths = record(stored).read(f"/paths?{encode(*query, [('scope', scope)])}")
    names = paths["names"]
    assert {
        **paths,
        "names": {each["name"]: (each["count"], each["starts"], each["ends"]) for each in names},
        "transitions": {
            (each["from"], each["to"]): (each["count"], each["median_seconds"])
            for each in paths["transitions"]
        },
    } == paths_of(traces)
    assert [each["count"] for each in names] == sorted(each["count"] for each in names)[::-1]


@examples
@given(stories, selections, funnels)
def test_a_funnel_is_that_of_the_model_and_leads_to_its_traces(
    record: Callable[[list[Model]], Person],
    stored: list[Model],
    selection: list[Query],
    steps: list[Query],
) -> None:
    person, traces = record(stored), list(selected_traces(stored, selection).values())
    funnel = person.read(f"/funnel?{encode(*selection, *steps)}")
    links = [(step.pop("reached"), step.pop("stopped")) for step in funnel["steps"]]
    assert funnel == {"traces": len(traces), "steps": funnel_of(traces, steps)}
    following = [*(step["count"] for step in funnel["steps"][1:]), 0]
    for step, after, (reached, stopped) in zip(funnel["steps"], following, links, strict=True):
        assert person.read(f"/{reached}")["count"] == step["count"]
        assert person.read(f"/{stopped}")["count"] == step["count"] - after
