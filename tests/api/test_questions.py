from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from support.api import EVENTS, Person, close
from support.generated import many_examples
from support.questions import CATALOG, Model, Query, decode, encode, matches, queries

from bytelog import create_app
from bytelog.auth import keys

pytestmark = pytest.mark.each_database

projects = count()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = create_app({"TESTING": True}, tmp_path_factory.mktemp("questions"))
    yield app
    close(app)


@pytest.fixture(scope="module")
def record(app: Flask) -> Callable[[list[Model]], Person]:
    """Return a function that records events in a project of their own."""

    def record_in_project(stored: list[Model]) -> Person:
        with app.app_context():
            person = Person(app.test_client(), keys.create("model", f"model {next(projects)}"))
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


@pytest.fixture(scope="module")
def catalog(record: Callable[[list[Model]], Person]) -> Person:
    """Return a person whose project has an event for each value of each member."""
    return record(CATALOG)


@many_examples
@given(queries)
def test_filters_select_the_events_of_the_model(catalog: Person, query: list[Query]) -> None:
    selected = [event.id for event in CATALOG if all(matches(event, each) for each in query)]
    listing = get(catalog, "", *query, [("order", "arrival")])
    assert [int(event["id"]) for event in listing["events"]] == selected
