from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.api import Person

from bytelog import Access, create_app

pytestmark = pytest.mark.each_database


def describe(person: Person) -> object:
    response = person.client.get("/api/v1/key", headers=person.headers)
    assert response.status_code == 200, response.text
    return response.json


def test_a_key_learns_its_name_its_project_and_its_scopes(
    person: Callable[..., Person], alice: Person
) -> None:
    assert describe(alice) == {"project": "shop", "key": "alice", "scopes": ["read", "write"]}
    reader = person("dashboard", "bank", scopes=["read"])
    assert describe(reader) == {"project": "bank", "key": "dashboard", "scopes": ["read"]}


def test_the_configured_key_has_the_name_of_its_setting(tmp_path: Path, database: str) -> None:
    app = create_app({"BYTELOG_API_KEY": "k"}, tmp_path)
    described = describe(Person(app.test_client(), "k"))
    expected = {"project": "default", "key": "BYTELOG_API_KEY", "scopes": ["read", "write"]}
    assert described == expected


def test_the_user_of_a_host_has_a_name(tmp_path: Path, database: str) -> None:
    app = create_app({}, tmp_path, authenticate=lambda *_: Access("team", ["read"], "anna"))
    described = describe(Person(app.test_client(), ""))
    assert described == {"project": "team", "key": "anna", "scopes": ["read"]}


def test_a_key_that_may_not_read_is_not_described(person: Callable[..., Person]) -> None:
    writer = person("app", "shop", scopes=["write"])
    assert writer.client.get("/api/v1/key", headers=writer.headers).status_code == 403
