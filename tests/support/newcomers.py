"""New clients with their own projects, and small pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from bytelog import create_app
from bytelog.auth import keys
from support.api import CLICK, Person, close


@pytest.fixture(scope="module")
def pages_of_three_events() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bytelog.queries.pages.PAGE_EVENTS", 3)
        yield


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Person]]:
    app = create_app({"TESTING": True}, tmp_path_factory.mktemp("properties"))
    names = map(str, count())

    def create_person() -> Person:
        name = next(names)
        with app.app_context():
            return Person(app.test_client(), keys.create(name, name))

    yield create_person
    close(app)


@pytest.fixture(scope="module")
def person_with_events(newcomer: Callable[[], Person]) -> Person:
    person = newcomer()
    for number in range(10):
        assert person.post({**CLICK, "id": number}).status_code == 201
    return person
