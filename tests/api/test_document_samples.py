from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.programs import require
from support.server import Server

pytestmark = pytest.mark.each_database

SAMPLES = Path(__file__).parents[1] / "support" / "samples"
PAYMENT = {
    "id": 5,
    "name": "paypal_payment",
    "trace_id": "03758690",
    "date": "2021-08-15T23:43:41.507Z",
    "data": {"client_id": "17039485"},
}


def sample(name: str, server: Server) -> str:
    """Return a sample of the API document, changed only in its host."""
    return (SAMPLES / name).read_text().replace("https://staging.bytelog.io", server.url)


def curl(name: str, server: Server) -> tuple[int, str]:
    require("curl")
    command = sample(name, server).rstrip() + " -s -w '%{stderr}%{http_code}'"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    return int(done.stderr), done.stdout


def javascript(name: str, server: Server, result: str) -> object:
    require("node")
    program = sample(name, server) + f"\nconsole.log(JSON.stringify({result}))"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def documented(server: Server) -> Server:
    for event in (PAYMENT, CLICK):
        assert server.request(EVENTS, json.dumps(event).encode()).status == 201
    return server


def test_curl_lists_the_events_as_printed(documented: Server) -> None:
    status, body = curl("list_events.sh", documented)
    expected = json.dumps({"count": 2, "events": [CLICK, PAYMENT]}, separators=(",", ":"))
    assert (status, body) == (200, expected)


def test_javascript_lists_the_events_as_printed(documented: Server) -> None:
    response = javascript("list_events.js", documented, "{count, events}")
    assert response == {"count": 2, "events": [CLICK, PAYMENT]}


def test_curl_follows_a_trace(server: Server) -> None:
    event = {**CLICK, "trace_id": ":trace_id"}
    server.request(EVENTS, json.dumps(event).encode())
    status, body = curl("follow_trace.sh", server)
    assert (status, json.loads(body)) == (200, {"count": 1, "events": [event]})


def test_javascript_follows_a_trace(server: Server) -> None:
    event = {**CLICK, "trace_id": ":trace_id"}
    server.request(EVENTS, json.dumps(event).encode())
    response = javascript("follow_trace.js", server, "{count, events}")
    assert response == {"count": 1, "events": [event]}


def test_curl_registers_an_event_when_the_missing_brace_is_added(server: Server) -> None:
    assert curl("register_event.sh", server) == (400, '{"error": "validation error"}')
    whole = sample("register_event.sh", server).replace("\"}'", "\"}}'")
    subprocess.run(whole, shell=True, check=True, capture_output=True)
    (event,) = json.loads(server.request(EVENTS).body)["events"]
    assert event == {**CLICK, "date": "2021-07-04T13:34:56.000Z"}


def test_javascript_registers_an_event(server: Server) -> None:
    response = javascript("register_event.js", server, "[response.status, await response.text()]")
    assert response == [201, ""]
    (event,) = json.loads(server.request(EVENTS).body)["events"]
    assert {**event, "date": CLICK["date"]} == CLICK
