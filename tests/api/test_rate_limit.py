from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.server import Server, wait_for
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.auth.rate_limit import WRONG_KEYS_PER_SECOND
from bytelog.config import SetupError

pytestmark = pytest.mark.each_database


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    return create_app(getattr(request, "param", {"BYTELOG_RATE_LIMIT": "3 per minute"}), tmp_path)


def test_a_key_over_its_limit_gets_429_with_retry_after(alice: Person) -> None:
    assert [alice.post(CLICK).status_code for _ in range(3)] == [201] * 3
    response = alice.post(CLICK)
    assert response.status_code == 429
    assert response.json == {"error": "too many requests"}
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_every_key_has_its_own_limit(person: Callable[..., Person]) -> None:
    alice, dave = person("alice", "shop"), person("dave", "shop")
    assert [alice.get().status_code for _ in range(4)] == [200] * 3 + [429]
    assert dave.get().status_code == 200


def test_requests_with_a_wrong_key_do_not_count_against_a_key(alice: Person) -> None:
    for _ in range(5):
        response = alice.client.get(EVENTS, headers={"Authorization": "Bearer unknown"})
        assert response.status_code == 401
    assert alice.get().status_code == 200


def test_there_is_no_limit_unless_it_is_set(tmp_path: Path) -> None:
    client = create_app({"BYTELOG_API_KEY": "k"}, tmp_path).test_client()
    header = {"Authorization": "Bearer k"}
    assert {client.get(EVENTS, headers=header).status_code for _ in range(300)} == {200}


@pytest.mark.before_database
def test_a_key_works_again_after_retry_after(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_RATE_LIMIT="5 per 2 second")
    responses = [server.request(EVENTS) for _ in range(6)]
    assert [response.status for response in responses] == [200] * 5 + [429]
    seconds = int(responses[-1].headers["Retry-After"])
    assert 1 <= seconds <= 4
    wait_for(lambda: server.request(EVENTS).status == 200, seconds + 1)


RATES = [
    *("many", "100", "100 per fortnight", "-1/minute", "0 per minute", "1 per 0 second"),
    *("100 per minute; many", "100 per minute;", ";", "1 per minute 2 per hour", "9" * 20 + "/day"),
]


@pytest.mark.parametrize("text", RATES)
def test_an_invalid_rate_limit_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SetupError, match="Write it like `100 per minute`"):
        create_app({"BYTELOG_RATE_LIMIT": text}, tmp_path)


@pytest.mark.parametrize("text", ["100 per minute; 2 per hour", "2/hour,100 per 5 minutes"])
def test_each_of_several_limits_applies(tmp_path: Path, text: str) -> None:
    app = create_app({"BYTELOG_RATE_LIMIT": text, "BYTELOG_API_KEY": "k"}, tmp_path / "several")
    get = partial(app.test_client().get, EVENTS, headers={"Authorization": "Bearer k"})
    assert [get().status_code for _ in range(3)] == [200, 200, 429]
    assert get().json == {"error": "too many requests"}


@pytest.mark.parametrize("app", [{}, {"BYTELOG_RATE_LIMIT": "9 per day"}], indirect=True)
def test_many_wrong_keys_from_an_address_get_429_and_a_valid_key_works(alice: Person) -> None:
    schemes = cycle(["Bearer wrong", "Basic d3Jvbmc6"])

    def guess(path: str, address: str) -> TestResponse:
        headers = {"Authorization": next(schemes)}
        environ = {"REMOTE_ADDR": address}
        return alice.client.get(path, headers=headers, environ_overrides=environ)

    responses = (guess(EVENTS, "192.0.2.1") for _ in range(30 * WRONG_KEYS_PER_SECOND))
    for number, refused in enumerate(responses):  # noqa: B007
        if refused.status_code != 401:
            break
    assert number >= WRONG_KEYS_PER_SECOND
    assert refused.status_code == 429
    assert (refused.json, refused.headers["Retry-After"]) == ({"error": "too many requests"}, "1")
    assert alice.client.get(EVENTS, headers=alice.headers).status_code == 200
    assert guess(EVENTS, "192.0.2.2").status_code == 401
