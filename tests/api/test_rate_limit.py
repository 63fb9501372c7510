from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.server import Server, wait_for

from bytelog import create_app
from bytelog.config import SetupError

pytestmark = pytest.mark.each_database


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"BYTELOG_RATE_LIMIT": "3 per minute"}, tmp_path)


def test_a_key_that_asks_too_often_gets_429_and_is_told_when_to_come_back(alice: Person) -> None:
    assert [alice.post(CLICK).status_code for _ in range(3)] == [201] * 3
    answer = alice.post(CLICK)
    assert answer.status_code == 429
    assert answer.json == {"error": "too many requests"}
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_every_key_has_its_own_limit(person: Callable[..., Person]) -> None:
    alice, dave = person("alice", "shop"), person("dave", "shop")
    assert [alice.get().status_code for _ in range(4)] == [200] * 3 + [429]
    assert dave.get().status_code == 200


def test_a_stranger_cannot_use_up_the_limit_of_a_key(alice: Person) -> None:
    for _ in range(5):
        answer = alice.client.get(EVENTS, headers={"Authorization": "Bearer unknown"})
        assert answer.status_code == 401
    assert alice.get().status_code == 200


def test_there_is_no_limit_unless_it_is_set(tmp_path: Path) -> None:
    client = create_app({"BYTELOG_API_KEY": "k"}, tmp_path).test_client()
    header = {"Authorization": "Bearer k"}
    assert {client.get(EVENTS, headers=header).status_code for _ in range(300)} == {200}


def test_who_waits_as_told_is_let_in_again(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_RATE_LIMIT="5 per 2 second")
    answers = [server.request(EVENTS) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    seconds = int(answers[-1].headers["Retry-After"])
    assert 1 <= seconds <= 4
    wait_for(lambda: server.request(EVENTS).status == 200, seconds + 1)


@pytest.mark.parametrize("text", ["many", "100", "100 per fortnight", "-1/minute"])
def test_a_limit_that_is_none_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SetupError, match="Write it like `100 per minute`"):
        create_app({"BYTELOG_RATE_LIMIT": text}, tmp_path)
