from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from support.api import CLICK, EVENTS, Person
from support.generated import examples, many_examples
from support.groups import groupings
from support.questions import CATALOG, NAMES, TEXTS, VALUES, Model, decode, encode, filters
from support.traces import funnels, stories, trace_queries, windows

from bytelog.api import bounds
from bytelog.auth import keys
from bytelog.queries.matching import matches

pytestmark = pytest.mark.each_database

projects = count()
PROBLEM = "application/problem+json"

_fields = st.sampled_from(["data.a", "data.a.b", "data.ü", 'data."service.name"'])
_values = st.sampled_from([*TEXTS, *(text for text in VALUES if "\\u" not in text)])
_conditions = st.one_of(
    st.sampled_from([f"name={name}" for name in NAMES] + ["trace_id=t1", "trace_id=a"]),
    st.builds(lambda field, value: f"{field}={value}", _fields, _values),
)
bound_texts = st.lists(_conditions, min_size=1, max_size=3).map(bounds.write)
story_bounds = st.lists(
    st.sampled_from(["name=visit", "name=order", "trace_id=a", "trace_id=%", "data.a=1"]),
    min_size=1,
    max_size=2,
).map(bounds.write)


@pytest.fixture
def join(shared_app: Flask) -> Callable[..., Person]:
    """Return a function that creates a key of a project."""

    def create_key(project: str, bound: str = "", **changes: Any) -> Person:
        with shared_app.app_context():
            return Person(
                shared_app.test_client(), keys.create("key", project, bound=bound, **changes)
            )

    return create_key


@pytest.fixture
def project() -> str:
    return f"bound {next(projects)}"


def is_inside(event: Model, bound: str) -> bool:
    data = event.text().partition('"data":')[2][:-1]
    return matches({**event._asdict(), "data": data}, bounds.load(bound))


def post(person: Person, events: list[Model]) -> int:
    batch = f"[{','.join(event.text() for event in events)}]".encode()
    return person.post(batch).status_code if events else 201


@pytest.fixture
def catalog(join: Callable[..., Person]) -> str:
    project = f"catalog {next(projects)}"
    assert post(join(project), CATALOG) == 201
    return project


@many_examples
@given(bound_texts)
def test_a_key_reads_exactly_the_events_that_match_its_bound(
    join: Callable[..., Person], catalog: str, bound: str
) -> None:
    listed = decode(join(catalog, bound).get("?order=arrival").text)["events"]
    assert [int(event["id"]) for event in listed] == [
        event.id for event in CATALOG if is_inside(event, bound)
    ]


def read(person: Person, path: str) -> tuple[int, Any, bool]:
    response = person.get(path)
    with response:
        return response.status_code, response.get_data(), "Link" in response.headers


questions = st.one_of(
    st.builds(
        lambda chosen, window, order: ("", [*window, *chosen, [("order", order)]]),
        st.lists(filters, max_size=1),
        windows,
        st.sampled_from(["date", "newest", "arrival"]),
    ),
    st.builds(
        lambda chosen, window, limit: ("", [*window, *chosen, [("limit", str(limit))]]),
        st.lists(filters, max_size=1),
        windows,
        st.integers(1, 3),
    ),
    st.builds(
        lambda trace, chosen: (f"/trace/{trace}", chosen),
        st.sampled_from(["a", "b", "%25"]),
        st.lists(filters, max_size=1),
    ),
    st.builds(
        lambda path, window, chosen: (path, [*window, *chosen]),
        st.sampled_from(
            [
                *("/names", "/summary", "/summary?bucket=hour&", "/summary?tz=Asia/Kathmandu&"),
                *("/paths", "/paths?scope=events&", "/paths/diff?against_end=2021-03-28&"),
            ]
        ),
        windows,
        st.lists(filters, max_size=1),
    ),
    groupings().map(lambda query: ("/summary", [query])),
    trace_queries.map(lambda query: ("/traces", [*query, [("limit", "2")]])),
    funnels.map(lambda query: ("/funnel", query)),
)


PATHS = [
    *("", "?order=newest&limit=2", "?order=arrival", "/trace/a", "/names", "/summary"),
    *("/summary?bucket=week", "/summary?tz=Asia/Kathmandu&bucket=hour", "/summary?by=data.a"),
    *("/summary?sum=data.a&bucket=day", "/traces", "/traces?limit=1", "/traces?start=2021-03-28"),
    *("/traces?having=visit&lacking=order", "/traces?ending=visit"),
    *("/traces?sequence=visit&sequence=visit", "/traces?sequence=visit&sequence=order"),
    *(f"/traces?from=visit&to=visit&within=5&state={state}" for state in ("overdue", "done")),
    *(f"/traces?step=visit&step=visit&{wanted}=1" for wanted in ("reached", "stopped")),
    *("/funnel?step=visit&step=visit&within=9", "/funnel?step=visit&step=sign_up&step=visit"),
    *("/paths", "/paths?scope=events", "/paths?name=visit", "/paths/diff?against_end=2021-03-28"),
]
"""A question of each kind, beside those that are generated."""


@examples
@given(stories, story_bounds, st.lists(questions, max_size=4))
def test_other_events_are_invisible_as_if_the_project_had_none(
    join: Callable[..., Person], stored: list[Model], bound: str, asked: list[Any]
) -> None:
    number = next(projects)
    assert post(join(f"all {number}"), stored) == 201
    inside = [event for event in stored if is_inside(event, bound)]
    alone, bounded = join(f"inside {number}"), join(f"all {number}", bound)
    assert post(alone, inside) == 201
    generated = (f"{path}{'' if '?' in path else '?'}{encode(*query)}" for path, query in asked)
    for url in (*PATHS, *generated):
        assert read(bounded, url) == read(alone, url), url


def test_pages_and_waiting_requests_have_only_events_of_the_bound(
    join: Callable[..., Person], project: str
) -> None:
    alice, bound = join(project), join(project, bounds.write(["name=click"]))
    for i in range(6):
        alice.post({**CLICK, "id": i, "name": "click" if i % 2 else "visit"})
    for order in ("date", "newest", "arrival"):
        found: list[int] = []
        query = f"?order={order}&limit=1"
        while query and len(found) < 4:
            response = bound.get(query)
            events = decode(response.text)["events"]
            found += [int(event["id"]) for event in events]
            query = response.headers.get("Link", "").partition(">")[0][1:] if events else ""
        assert sorted(found) == [1, 3, 5]
    assert bound.read("?order=arrival&cursor=end&wait=0")["count"] == 0
    assert bound.read("/trace/03775690")["count"] == 3


OUTSIDE = {**CLICK, "name": "visit"}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (json.dumps(OUTSIDE), ["#"]),
        (json.dumps([CLICK, OUTSIDE, CLICK, OUTSIDE]), ["#/1", "#/3"]),
        (f" [{json.dumps(OUTSIDE)}]", ["#/0"]),
    ],
)
def test_an_event_outside_the_bound_is_refused_with_all_others(
    join: Callable[..., Person], project: str, body: str, pointers: list[str]
) -> None:
    bound = join(project, bounds.write(["name=click"]))
    refused = bound.post(body.encode())
    assert (refused.status_code, refused.json) == (403, {"error": "forbidden"})
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    detailed = bound.post(body.encode(), headers={**bound.headers, "Accept": PROBLEM}).json
    assert detailed is not None
    assert detailed["errors"] == [
        {"pointer": pointer, "detail": "Must match name=click."} for pointer in pointers
    ]
    assert join(project).events() == []


@pytest.mark.parametrize(
    "data", [{"a": "1\0"}, {"a": ["1\0x"]}, {"a\0": "1"}, {"a\0": "1", "a": "2"}]
)
def test_no_text_before_a_nul_is_in_the_bound(
    join: Callable[..., Person], project: str, data: dict[str, Any]
) -> None:
    assert join(project).post({**CLICK, "data": data}).status_code == 201
    bound = join(project, bounds.write(["data.a=1"]), scopes=("read", "delete"))
    assert bound.read()["count"] == 0
    assert bound.client.delete("/api/v1/events?name=click", headers=bound.headers).json == {
        "deleted": 0
    }


def test_a_line_outside_the_bound_is_refused(join: Callable[..., Person], project: str) -> None:
    bound = join(project, bounds.write(["data.tenant=42"]))
    lines = [{**CLICK, "data": {"tenant": tenant}} for tenant in (42, "42", 42.0, 43)]
    body = "\n".join(map(json.dumps, lines))
    headers = {**bound.headers, "Accept": PROBLEM}
    kind = "application/x-ndjson"
    refused = bound.client.post(EVENTS, data=body, headers=headers, content_type=kind)
    assert [error["pointer"] for error in refused.json["errors"]] == ["#/3"]  # type: ignore[index]
    body = body.rpartition("\n")[0]
    accepted = bound.client.post(EVENTS, data=body, headers=headers, content_type=kind)
    assert accepted.status_code == 201
    assert len(bound.events()) == 3


@pytest.mark.parametrize("tenant", [[42], [42, 43], [], [[42]], "[42]"])
def test_an_event_that_other_bounds_may_match_too_is_refused(
    join: Callable[..., Person], project: str, tenant: Any
) -> None:
    bound = join(project, bounds.write(["data.tenant=42", "data.tenant=[42]"]))
    event = {**CLICK, "data": {"tenant": tenant}}
    response = bound.post(event, headers={**bound.headers, "Accept": PROBLEM})
    if tenant == "[42]":
        assert response.status_code == 201
        return
    assert response.status_code == 403
    assert response.json is not None
    detail = "Must match data.tenant=42|[42], not by an array."
    assert response.json["errors"] == [{"pointer": "#", "detail": detail}]
    assert join(project).post(event).status_code == 201
    assert bound.read()["count"] == bool(tenant)


def test_an_idempotency_key_of_another_bound_is_another_key(
    join: Callable[..., Person], project: str
) -> None:
    clicks, visits = (join(project, bounds.write([f"name={name}"])) for name in ("click", "visit"))
    everything, twin = join(project), join(project, bounds.write(["name=click"]))

    def post(person: Person, name: str) -> int:
        headers = {**person.headers, "Idempotency-Key": "order-7"}
        return person.post({**CLICK, "name": name}, headers=headers).status_code

    assert post(visits, "click") == 403
    assert [post(clicks, "click"), post(visits, "visit"), post(everything, "click")] == [201] * 3
    assert [post(clicks, "click"), post(twin, "click")] == [201] * 2
    assert post(visits, "click") == 403
    assert len(everything.events()) == 3


def test_a_key_tells_its_bound(join: Callable[..., Person], project: str) -> None:
    bound = join(project, bounds.write(["name=click", "data.tenant=42", "name=visit"]))
    described = bound.client.get("/api/v1/key", headers=bound.headers).json
    assert described is not None
    assert described["only"] == {"name": ["click", "visit"], "data.tenant": ["42"]}


@pytest.mark.parametrize(
    "condition",
    [
        *("", "name", "=x", "name=", "id=1", "q=x", "date=2021", "name[not]=x", "data=1"),
        *("data.a[gt]=1", "data..a=1", "data.a\0=1", "name=a\0", "data.a=\ufdd0"),
        "name=" + "x" * 256,
    ],
)
@pytest.mark.before_database
def test_another_condition_is_refused(condition: str) -> None:
    with pytest.raises(ValidationError):
        bounds.write([condition])


@pytest.mark.before_database
def test_a_quoted_name_may_contain_an_equals_sign() -> None:
    bound = bounds.write(['data."a=b".c=d=e', "data.x="])
    assert json.loads(bound) == {'data."a=b".c': ["d=e"], "data.x": [""]}
