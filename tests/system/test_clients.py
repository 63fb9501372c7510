from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.api import close
from support.faulty_proxy import Proxy, proxy
from support.programs import require
from support.server import Server

from bytelog import create_app
from bytelog.auth import keys
from bytelog.clients import downloads as clients

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "support" / "clients"
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())
RUNTIMES = {
    "python": [sys.executable, str(FOLDER / "run.py")],
    "javascript": ["node", str(FOLDER / "run.mjs")],
    "ruby": ["ruby", str(FOLDER / "run.rb")],
    "shell": ["sh", str(FOLDER / "run.sh")],
    "zsh": ["zsh", str(FOLDER / "run.sh")],
}
TEMPORARY = {409, 429, 502, 503, 504, 520, 521, 522, 523, 524}
RETRIED = {*TEMPORARY, "lost", "cut", "silent"}


class World(NamedTuple):
    """The server of all cases, its downloads, and a function that creates a project's key."""

    server: Server
    clients: Path
    new_key: Callable[[], str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("clients")
    server = Server(folder, BYTELOG_API_KEY=Server.key)
    server.keep_port()
    downloads = folder / "downloads"
    downloads.mkdir()
    for name in clients.MEDIA_TYPES:
        (downloads / name).write_bytes(server.request(f"/clients/{name}").body)
    app = create_app(instance_path=folder / "data")
    projects = iter(range(1000))

    def new_key() -> str:
        with app.app_context():
            return keys.create("alice", f"project{next(projects)}")

    yield World(server, downloads, new_key)
    close(app)
    server.kill()


def environment(world: World, url: str | None = None) -> dict[str, str]:
    return os.environ | {
        "BYTELOG_URL": url or world.server.url,
        "BYTELOG_API_KEY": world.new_key(),
        "CASES": str(FOLDER / "cases.json"),
        "CLIENTS": str(world.clients),
        "OUTPUT": str(world.clients / "output"),
        "PYTHON": sys.executable,
    }


def outcomes(world: World, command: list[str], case: str, url: str | None) -> Iterator[Any]:
    """Yield the outcome of each step, and restart the server if a step requires it."""
    require(command[0], *(["curl"] if command[0] in ("sh", "zsh") else []))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    settings = environment(world, url)
    for name, value in CASES[case].get("environment", {}).items():
        settings[name] = value.format(**settings)
    with subprocess.Popen([*command, case], env=settings, **pipes) as runner:
        for step in CASES[case]["steps"]:
            if step["call"] == "restart":
                world.server.stop(signal.SIGKILL)
                print(file=runner.stdin, flush=True)
                world.server.start()
            yield json.loads(runner.stdout.readline() if runner.stdout else "")
        assert runner.wait(10) == 0


def check(step: dict[str, Any], outcome: dict[str, Any]) -> None:
    assert ("fails" in outcome) == ("fails" in step), outcome
    if "fails" in step:
        assert outcome["fails"] == step["fails"]
        assert re.search(step.get("says", ""), outcome["says"])
    if "ids" in step:
        assert [event["id"] for event in outcome["gives"]] == step["ids"]
    if "count" in step:
        assert [event["id"] for event in outcome["gives"]] == list(range(step["count"]))
    if "answer" in step:
        assert outcome["gives"] == [step["answer"]]
    if "gives" in step:
        assert [dated(event) for event in outcome["gives"]] == step["gives"]


def dated(event: dict[str, Any]) -> dict[str, Any]:
    age = datetime.now(UTC) - datetime.fromisoformat(event["date"])
    return {**event, "date": "now"} if abs(age.total_seconds()) < 60 else event


def check_requests(faulty_server: Proxy, responses: list[dict[str, Any]]) -> None:
    for response, (request, following) in zip(
        responses, pairwise(faulty_server.requests), strict=False
    ):
        if response["status"] in RETRIED and response.get("Retry-After") != "61":
            assert following[:3] == request[:3] or following.method != request.method
            assert following.moment - request.moment >= shortest_wait(response)
    keys = {request.key for request in faulty_server.requests if request.method == "POST"}
    bodies = {request.body for request in faulty_server.requests if request.method == "POST"}
    assert len(keys) == len(bodies)
    assert all(len(body) < 1100 * 1024 for body in bodies)


def shortest_wait(response: dict[str, Any]) -> int:
    """Return the seconds of Retry-After, minus one for a date, which has no fraction."""
    wait = re.fullmatch(r"(\d+)|in (\d+) s", response.get("Retry-After", ""))
    return int(wait[1] or int(wait[2]) - 1) if wait else 0


@pytest.mark.parametrize("language", RUNTIMES)
@pytest.mark.parametrize("case", CASES)
def test_a_client_behaves_as_the_case_describes(world: World, case: str, language: str) -> None:
    with ExitStack() as stack:
        url, faulty_server, responses = None, None, CASES[case].get("answers")
        if responses is not None:
            faulty_server = stack.enter_context(proxy(world.server, responses))
            url = faulty_server.url
        results = outcomes(world, RUNTIMES[language], case, url)
        for step, outcome in zip(CASES[case]["steps"], results, strict=True):
            check(step, outcome)
        if faulty_server:
            check_requests(faulty_server, responses)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "import bytelog_client; bytelog_client.Client()"],
        ["node", "-e", "import('./bytelog.mjs').then((bytelog) => new bytelog.Client())"],
        ["ruby", "-r", "./bytelog", "-e", "Bytelog::Client.new"],
        ["sh", "bytelog.sh", "trace", "1"],
    ],
    ids=["python", "javascript", "ruby", "shell"],
)
def test_a_key_that_contains_a_line_end_is_refused(world: World, command: list[str]) -> None:
    require(command[0])
    settings = environment(world) | {"BYTELOG_API_KEY": "key\nX-Header: injected"}
    done = subprocess.run(
        command, cwd=world.clients, env=settings, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "The API key contains a line end" in done.stderr
