from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import CLICK, EVENTS, Person
from support.listings import memory
from support.server import Server

from bytelog.config import MAX_GROUP_CHARACTERS, MAX_MEMBER_DEPTH, MAX_MEMBERS

LONG_NAMES = 7500

pytestmark = pytest.mark.each_database


def names(number: int) -> list[str]:
    return [f"{i:0>255}" for i in range(number)]


@pytest.mark.parametrize("path", ["/summary", "/paths"])
def test_counts_with_too_many_long_names_get_400(alice: Person, path: str) -> None:
    # A path has two names.
    assert 2 * 255 * LONG_NAMES < MAX_GROUP_CHARACTERS < 255 * (LONG_NAMES + 9500)
    assert alice.post([{**CLICK, "name": name} for name in names(LONG_NAMES)]).status_code == 201
    assert alice.get(path).status_code == 200
    alice.post([{**CLICK, "name": f"x{name[1:]}"} for name in names(9500)])
    response = alice.get(path, Accept="application/problem+json")
    assert response.status_code == 400
    assert "characters in all" in response.text
    one = f"{path}?name=x{names(1)[0][1:]}" + ("&scope=events" if path == "/paths" else "")
    assert alice.get(one).status_code == 200


@pytest.mark.slow
@pytest.mark.sqlite_file
def test_summaries_and_paths_at_once_take_bounded_memory(server: Server) -> None:
    events = [{**CLICK, "name": "ü" + name[1:]} for name in names(LONG_NAMES)]
    assert server.request(EVENTS, json.dumps(events).encode()).status == 201
    before = memory(server)
    paths = [f"{EVENTS}/summary", f"{EVENTS}/paths"] * 4
    with ThreadPoolExecutor(len(paths)) as threads:
        statuses = [response.status for response in threads.map(server.request, paths)]
    assert statuses == [200] * len(paths)
    assert memory(server) - before < 256 * 1024


@pytest.mark.slow
def test_searches_with_many_different_filters_take_bounded_memory(
    serve: Callable[..., Server],
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key)
    depths = random.Random(1)
    before = memory(server)
    for _ in range(200):
        paths = [
            f"data.{member}{'.b' * depths.randrange(MAX_MEMBER_DEPTH)}=1"
            for member in range(MAX_MEMBERS)
        ]
        assert server.request(f"{EVENTS}?limit=1&{'&'.join(paths)}").status == 200
    assert memory(server) - before < 128 * 1024
