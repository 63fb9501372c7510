from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.api import CLICK, EVENTS
from support.server import Response, Server, wait_for

from bytelog import Bytelog, create_app

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
FRAMEWORKS = ("Flask", "Django", "FastAPI")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


def write(section: str, folder: Path) -> None:
    for text in blocks(section, "python"):
        path = folder / text.partition("\n")[0].removeprefix("# ")
        path.write_text(text)


def run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env={"PATH": PATH}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Tool(Server):
    """An internal tool with bytelog under a prefix, written and started as in the guide."""

    def __init__(self, section: str, folder: Path, **environment: str) -> None:
        self.section = section
        self.folder = folder
        self.environment = {"PATH": PATH, **environment}
        if section == "Django":
            run("django-admin startproject tool .", folder)
        write(section, folder)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/bytelog"
        self.command, *self.requests = blocks(section, "sh")
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", "exec env " + self.with_own_port(self.command)],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.request("/healthz").status == 200)

    def with_own_port(self, command: str) -> str:
        assert "8000" in command
        return command.replace("8000", str(self.port))


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Callable[..., Tool]]:
    tools: list[Tool] = []

    def start(section: str, **environment: str) -> Tool:
        folder = tmp_path / section
        folder.mkdir()
        tools.append(Tool(section, folder, **environment))
        return tools[-1]

    yield start
    for each in tools:
        each.stop()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_tool_records_and_serves_its_events_under_a_prefix(
    framework: str, tool: Callable[..., Tool]
) -> None:
    mounted = tool(framework, BYTELOG_CORS_ORIGINS="https://shop.example")
    response = run("".join(map(mounted.with_own_port, mounted.requests)), mounted.folder)
    order = {"id": 7, "name": "order", "trace_id": "order-7", "data": {"paid": True}}
    assert "Thank you!" in response
    assert json.loads(response[response.index('{"count"') :])["events"][0].items() >= order.items()

    check_prefix(mounted)
    check_waiting(mounted)
    check_long_listing(mounted)
    assert mounted.stop() in (0, -15)


def check_prefix(mounted: Tool) -> None:
    described = json.loads(mounted.request("/openapi.json").body)
    assert described["servers"] == [{"url": "/bytelog"}]
    page = mounted.request(f"{EVENTS}?limit=1&order=arrival", Origin="https://shop.example")
    assert page.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert page.headers["Link"].startswith("<?")
    assert mounted.request(f"{EVENTS}?colour=red").body == b'{"error": "validation error"}'
    assert mounted.request(EVENTS, Authorization="Bearer wrong").status == 401
    event = json.dumps({**CLICK, "trace_id": "a/b"}).encode()
    assert mounted.request(EVENTS, event).status == 201
    assert json.loads(mounted.request(f"{EVENTS}/trace/a%2Fb").body)["count"] == 1


def check_waiting(mounted: Tool) -> None:
    responses: list[Response] = []

    def wait() -> None:
        responses.append(mounted.request(f"{EVENTS}?name=awaited&wait=30"))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.5)
    assert responses == []
    mounted.request(EVENTS, json.dumps({**CLICK, "name": "awaited"}).encode())
    thread.join(20)
    assert json.loads(responses[0].body)["count"] == 1


def check_long_listing(mounted: Tool) -> None:
    batch = json.dumps([{**CLICK, "name": "many", "data": {"text": "x" * 500}}] * 10_000).encode()
    assert mounted.request(EVENTS, batch).status == 201
    for _ in range(20):  # Readers that leave early free their slots.
        leave_early(mounted)
    wait_for(lambda: mounted.request(f"{EVENTS}?name=many").status == 200)
    listing = mounted.request(f"{EVENTS}?name=many")
    assert "Content-Length" not in listing.headers
    assert len(json.loads(listing.body)["events"]) == 10_000


def leave_early(mounted: Tool) -> None:
    with socket.create_connection(("127.0.0.1", mounted.port), 20) as peer:
        peer.sendall(
            f"GET /bytelog{EVENTS}?name=many HTTP/1.1\r\nHost: tool\r\n"
            f"Authorization: Bearer {mounted.key}\r\n\r\n".encode()
        )
        assert peer.recv(1000)


def test_the_sample_that_records_from_python_runs(tmp_path: Path) -> None:
    write("Record and read from Python", tmp_path)
    printed = run("python orders.py", tmp_path).splitlines()
    assert "integer" in printed[0]
    assert [line.split()[1] for line in printed[1:]] == [f"order-{number}" for number in range(10)]
    log = Bytelog(create_app({}, tmp_path / "instance"))
    assert len(list(log.events(project="shop"))) == 101
    assert len(list(log.events())) == 1


def test_the_keys_and_users_of_a_tool_grant_access_to_its_events(tool: Callable[..., Tool]) -> None:
    mounted = tool("Your own keys and users")
    response = run("".join(map(mounted.with_own_port, mounted.requests)), mounted.folder)
    assert response.endswith('{"count":0,"events":[]}{"count":0,"events":[]}')
    body = json.dumps(CLICK).encode()
    key = "Bearer the_shops_own_key"
    assert mounted.request(EVENTS, body, Authorization=key).status == 201
    assert mounted.request(EVENTS, body, Authorization="Bearer example_api_key").status == 401
    cookie = (mounted.folder / "cookies").read_text().split()[-1]
    session: dict[str, Any] = {"Cookie": f"session={cookie}", "Authorization": ""}
    assert json.loads(mounted.request(EVENTS, **session).body)["events"] == [CLICK]
    assert mounted.request(EVENTS, body, **session).status == 403
    assert mounted.request(EVENTS, Cookie="session=forged", Authorization="").status == 401


def test_the_sample_tests_pass(tmp_path: Path) -> None:
    write("Flask", tmp_path)
    write("In your tests", tmp_path)
    command = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -W error"
    assert "2 passed" in run(command, tmp_path)


@pytest.mark.parametrize("options", ["--workers 3", "--workers 3 --preload"])
def test_several_processes_share_a_database(tool: Callable[..., Tool], options: str) -> None:
    mounted = tool("Flask", GUNICORN_CMD_ARGS=options)
    statuses: list[int] = []

    def post(first: int) -> None:
        for number in range(first, first + 25):
            body = json.dumps({**CLICK, "id": number}).encode()
            statuses.append(mounted.request(EVENTS, body).status)

    threads = [threading.Thread(target=post, args=(thread * 25,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {201}
    events = json.loads(mounted.request(EVENTS).body)["events"]
    assert sorted(event["id"] for event in events) == list(range(200))
