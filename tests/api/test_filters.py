from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from werkzeug.test import TestResponse

from bytelog.auth import keys
from bytelog.config import (
    MAX_FILTER_VALUES,
    MAX_HEADER_BYTES,
    MAX_ID,
    MAX_MEMBER_DEPTH,
    MAX_MEMBERS,
    MIN_ID,
)

pytestmark = pytest.mark.each_database

numbers = count()

BIG = "123456789012345678901234567890"


@pytest.fixture
def person(shared_app: Flask) -> Callable[..., Person]:
    def create_person(name: str, project: str) -> Person:
        with shared_app.app_context():
            return Person(shared_app.test_client(), keys.create(name, f"{project} {next(numbers)}"))

    return create_person


def post(person: Person, data: str = "{}", **changes: Any) -> None:
    event = json.dumps({**CLICK, **changes, "data": "DATA"}).replace('"DATA"', data)
    assert person.post(event.encode()).status_code == 201


def get_events(person: Person, path: str = "", /, **filters: object) -> TestResponse:
    headers = {**person.headers, "Accept": "application/problem+json"}
    return person.client.get(f"{EVENTS}{path}?{urlencode(filters)}", headers=headers)


def ids(person: Person, path: str = "", /, **filters: object) -> list[int]:
    response = get_events(person, path, **filters)
    assert response.status_code == 200, response.text
    assert response.json is not None
    event_ids = [event["id"] for event in response.json["events"]]
    assert response.json["count"] == len(event_ids)
    for order in ("date", "newest", "arrival"):
        limited = get_events(person, path, **filters, order=order, limit=len(event_ids) or 1).json
        assert limited is not None
        assert sorted(event["id"] for event in limited["events"]) == sorted(event_ids)
    return event_ids


def refused(person: Person, query: str) -> list[str]:
    response = person.get(f"?{query}", Accept="application/problem+json")
    assert response.status_code == 400, (query, response.text)
    assert response.json is not None
    return [problem["parameter"] for problem in response.json["errors"]]


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("click", ["Click", "click ", "clic", "clicks", "%", "cl_ck", "cl*"]),
        ("größe", ["gro\u0308ße", "GRÖSSE"]),
        ("a+b c&d=e#f", ["a b c"]),
        ("';DROP TABLE event--", ["'"]),
        ("%FF", ["\ufffd"]),
    ],
)
def test_a_name_or_trace_id_matches_exactly(alice: Person, name: str, others: list[str]) -> None:
    for number, text in enumerate([name, *others]):
        post(alice, id=number, name=text, trace_id=f"t{text}")
    assert ids(alice, name=name) == [0]
    assert ids(alice, trace_id=f"t{name}") == [0]
    assert ids(alice, trace_id=f"t{name}", name=others[0]) == []
    assert len(ids(alice)) == 1 + len(others)


@pytest.mark.parametrize("number", [0, 1, -1, 42, MIN_ID, MAX_ID])
def test_an_id_of_any_size_matches(alice: Person, number: int) -> None:
    for other in (number, number // 2 + 7, number):
        post(alice, id=other)
    assert ids(alice, id=number) == [number, number]


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ('{"client_id": "17039485"}', "client_id", "17039485"),
        ('{"client_id": 17039485}', "client_id", "17039485"),
        (f'{{"n": {BIG}}}', "n", BIG),
        ('{"n": 1.50}', "n", "1.50"),
        ('{"n": -1E+2}', "n", "-1E+2"),
        ('{"yes": true}', "yes", "true"),
        ('{"no": false}', "no", "false"),
        ('{"none": null}', "none", "null"),
        ('{"empty": ""}', "empty", ""),
        ('{"list": [1, "a"]}', "list", '[1,"a"]'),
        ('{"a": {"b c": {"d": "x y"}}}', "a.b c.d", "x y"),
        ('{"a": {"b": 1}}', "a", '{"b":1}'),
        (r'{"text": "gr\u00f6\u00DFe \ud83d\ude00 \/ \\ \" \n"}', "text", 'größe 😀 / \\ " \n'),
        (r'{"gr\u00f6\u00DFe": "x"}', "größe", "x"),
        ('{"größe": 5}', "größe", "5"),
        (r'{"cli\u0063k": {"\ud83d\ude00": 1.0}}', "click.😀", "1.0"),
        (r'{"a\\b": "x", "c\/d": "y"}', "c/d", "y"),
        (r'{"a\\b": "x"}', "a\\b", "x"),
        ('{"$": {"[0]": {"#-1": {"*": "x"}}}}', '$."[0]".#-1.*', "x"),
        ('{"a\'b": "x\'y"}', "a'b", "x'y"),
        ('{"0": {"1": "x"}}', "0.1", "x"),
        ('{"key": "x", "value": "y", "type": "z"}', "type", "z"),
    ],
)
def test_a_member_of_data_matches_its_value(
    alice: Person, data: str, path: str, value: str
) -> None:
    post(alice, id=0)
    post(alice, data, id=1)
    post(alice, '{"other": [1, {"text": "text"}], "a": "b", "click": 1, "0": ["x", "x"]}', id=2)
    assert ids(alice, **{f"data.{path}": value}) == [1]
    assert ids(alice, **{f"data.{path}": f"{value}."}) == []
    assert ids(alice, f"/trace/{CLICK['trace_id']}", **{f"data.{path}": value}) == [1]


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ("{}", "a", ""),
        ("{}", "a", "null"),
        ('{"a": true}', "a", "1"),
        ('{"a": null}', "a", ""),
        ('{"a": "x"}', "A", "x"),
        ('{"a": "x"}', "a", "X"),
        ('{"a": "x"}', "a.b", "x"),
        ('{"a": {"b": "x"}}', "b", "x"),
        ('{"a": ["x"]}', "a.0", "x"),
        ('{"a": ["x"]}', 'a."[0]"', "x"),
        ('{"a.b": "x"}', "a.b", "x"),
        ('{"a": "\\"x\\""}', "a", "x"),
        (r'{"a\\b": "x"}', r"a\\b", "x"),
        (r'{"a": {"\"": 1, "b": 2}}', "a.b", "1"),
    ],
)
def test_a_member_with_another_value_does_not_match(
    alice: Person, data: str, path: str, value: str
) -> None:
    post(alice, data)
    assert ids(alice, **{f"data.{path}": value}) == []


@pytest.mark.parametrize(
    "injection",
    ["' OR 1=1 --", '" OR 1=1 --', "1) OR (1=1", ":value0", "?", "%(x)s", "$", "json('1')", "\\"],
)
def test_no_value_and_no_member_is_interpreted_as_sql(alice: Person, injection: str) -> None:
    post(alice, '{"a": "b"}')
    for parameter in ("name", "trace_id", "data.a", "data.x.y"):
        assert ids(alice, **{parameter: injection}) == []
    if '"' not in injection:
        assert ids(alice, **{f"data.{injection}": "b"}) == []


def test_filters_combine_with_each_other_and_with_a_window(alice: Person) -> None:
    for number in range(24):
        post(
            alice,
            f'{{"a": {number % 2}, "b": {{"c": "{number % 3}"}}}}',
            id=number,
            name="even" if number % 4 == 0 else "odd",
            trace_id=str(number % 6),
            date=f"2021-08-{1 + number:02}",
        )
    nested = {"data.a": 0, "data.b.c": "0"}
    assert ids(alice, **nested) == [0, 6, 12, 18]
    assert ids(alice, **nested, name="even") == [0, 12]
    assert ids(alice, **nested, name="even", start="2021-08-02") == [12]
    assert ids(alice, **nested, name="even", end="2021-08-02", id=0, trace_id=0) == [0]
    assert ids(alice, "/trace/0", **nested, id=6) == [6]
    assert ids(alice, "/trace/1", **nested) == []


def test_a_filter_finds_no_event_of_another_project(alice: Person, bob: Person) -> None:
    post(alice, '{"a": 1}')
    for filters in ({"name": "click"}, {"id": 1}, {"data.a": 1}, {"trace_id": CLICK["trace_id"]}):
        assert ids(alice, **filters) == [1]
        assert ids(bob, **filters) == []


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("nam=click", "nam"),
        ("data=1", "data"),
        ("limit=1&limit=1", "limit"),
        ("start=2021-08-15&start=2021-08-15", "start"),
        ("q=a&q=b", "q"),
        ("q=", "q"),
        ("q=a%00b", "q"),
        ("tz=Europe/Berlin&tz=UTC", "tz"),
        *(
            (f"tz={zone}", "tz")
            for zone in ("", "Europe", "Berlin", "../UTC", "/etc/passwd", "%00")
        ),
        ("tz=Europe/Berlin&start=0001-01-01", "start"),
        ("tz=America/Lima&end=9999-12-31T23:00", "end"),
        ("name[gt]=a", "name[gt]"),
        ("name[]=a", "name[]"),
        ("id[not]=1", "id[not]"),
        ("&".join(["name=a"] * (MAX_FILTER_VALUES + 1)), "name"),
        ("&".join(["data.a=1"] * (MAX_FILTER_VALUES + 1)), "data.a"),
        *(
            (f"data.a[{operator}]=1", f"data.a[{operator}]")
            for operator in ("", "eq", "NOT", "gt]")
        ),
        *(
            (f"data.a[gt]={bound}", "data.a[gt]")
            for bound in ("", "x", "01", "1.", "NaN", "1e99999")
        ),
        ("data.a[lt]=1&data.a[lt]=2", "data.a[lt]"),
        *((f"data.a[exists]={value}", "data.a[exists]") for value in ("", "1", "yes", "True")),
        ("data.a[exists]=true&data.a[exists]=false", "data.a[exists]"),
        (f"name={'n' * 256}", "name"),
        ("trace_id=a%00b", "trace_id"),
        *((f"id={value}", "id") for value in ("", "1.0", "%201", "٣", MAX_ID + 1, "9" * 5000)),
        *((f"limit={value}", "limit") for value in ("0", "-1", "10001", "")),
        *((f"order={value}", "order") for value in ("random", "DATE", "")),
        *((f"order=arrival&wait={value}", "wait") for value in ("-1", "31", "0.5")),
        *((f"{value}=1", value) for value in ("data.", "data.a..b", "data.a.", "data..a")),
        ("data.a%22b=1", 'data.a"b'),
        ("data.a%00b=1", "data.a\0b"),
        *((query, "*") for query in ("name=%FF", "data.%ff=1", "data.a=%C0%AF")),
    ],
)
def test_an_invalid_parameter_is_named(alice: Person, query: str, parameter: str) -> None:
    assert refused(alice, query) == [parameter]


@pytest.mark.before_database
def test_each_of_several_invalid_parameters_is_named(alice: Person) -> None:
    assert sorted(refused(alice, "limit=x&order=y&id=z&who=w")) == ["id", "limit", "order", "who"]


@pytest.mark.before_database
@pytest.mark.parametrize("query", ["data.{}=1", "data" + ".a" * 3 + "{}=1", "data.x{}.y.z="])
def test_a_request_full_of_filters_is_rejected_within_a_second(alice: Person, query: str) -> None:
    post(alice)
    number = MAX_HEADER_BYTES // (len(query) + 4)
    began = time.process_time()
    assert refused(alice, "&".join(query.format(i) for i in range(number)))
    assert refused(alice, "data" + ".a" * (MAX_HEADER_BYTES // 2 - 10) + "=1")
    assert time.process_time() - began < 1


def test_a_request_may_have_the_maximum_of_filters_and_levels(alice: Person) -> None:
    post(alice, json.dumps({f"m{i}": i for i in range(10)}), id=1)
    post(alice, json.dumps({f"m{i}": i for i in range(9)}), id=2)
    assert ids(alice, **{f"data.m{i}": i for i in range(10)}) == [1]
    post(alice, '{"a":' * 10 + '"x"' + "}" * 10, id=3)
    assert ids(alice, **{"data" + ".a" * 10: "x"}) == [3]
    assert ids(alice, **{"data" + ".a" * 9: '{"a":"x"}'}) == [3]


@pytest.mark.before_database
def test_one_filter_or_level_too_many_is_rejected(alice: Person) -> None:
    assert refused(alice, "&".join(f"data.m{i}=1" for i in range(MAX_MEMBERS + 1)))
    assert refused(alice, "data" + ".a" * (MAX_MEMBER_DEPTH + 1) + "=1")


@pytest.mark.before_database
def test_the_trace_endpoint_accepts_no_second_trace_id(alice: Person) -> None:
    assert get_events(alice, f"/trace/{quote('a/b', safe='')}", trace_id="a").status_code == 400
