"""Events of tests, recorded in a project of their own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from flask import Flask

from bytelog.auth import keys
from support.api import EVENTS, Person
from support.questions import Model

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
