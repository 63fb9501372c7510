from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.http import to_binary, to_structured
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FORMATS = Path(__file__).parents[1] / "support" / "formats"
TIME = datetime(2021, 8, 15, 23, 41, 41, 507000, UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("cloudevents"), BYTELOG_API_KEY=Server.key) as server:
        yield server


def post(server: Server, message: HTTPMessage) -> None:
    headers = {**message.headers, "Authorization": f"Bearer {server.key}"}
    response = requests.post(server.url + EVENTS, data=message.body, headers=headers, timeout=60)
    assert (response.status_code, response.content) == (201, b""), response.headers


def events_of(server: Server, source: str) -> dict[str, dict[str, Any]]:
    response = server.request(f"{EVENTS}?data.source={source}&order=arrival")
    events = json.loads(response.body)["events"]
    return {event["data"]["id"]: event for event in events}


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        ({"total": 1.5}, "application/json"),
        ({"total": 1.5}, None),
        ("text", "text/plain"),
        (b"\x00\xff", "application/octet-stream"),
        (None, None),
    ],
)
def test_the_python_sdk_sends_each_mode_and_the_event_is_stored_once(
    server: Server, data: Any, media_type: str | None
) -> None:
    source = f"/python/{type(data).__name__}/{media_type}"
    attributes = {"type": "order.paid", "source": source, "id": "1", "subject": "Größe 5%"}
    types = {"datacontenttype": media_type} if media_type else {}
    event = CloudEvent({**attributes, "time": TIME, "specversion": "1.0", **types}, data)
    for convert in (to_binary_event, to_structured_event, to_binary_event):
        post(server, convert(event))
    stored = events_of(server, source)["1"]
    assert (stored["name"], stored["trace_id"]) == ("order.paid", "Größe 5%")
    assert stored["date"] == "2021-08-15T23:41:41.507Z"
    if isinstance(data, bytes):
        assert stored["data"]["data_base64"] == "AP8="
    else:
        assert stored["data"].get("data") == data


def test_the_python_sdk_before_version_2_sends_both_modes(server: Server) -> None:
    event = OldCloudEvent({"type": "order.paid", "source": "/old", "id": "1"}, {"total": 1.5})
    for convert in (to_structured, to_binary):
        post(server, HTTPMessage(*convert(event)))
    assert [each["data"]["data"] for each in events_of(server, "/old").values()] == [{"total": 1.5}]


def test_the_sdk_for_node_sends_each_mode_and_each_event_is_stored_once(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(install_packages(FORMATS) / "node_modules")
    program = shutil.copy(FORMATS / "cloudevents.mjs", tmp_path)
    command = ["node", program, server.url + EVENTS, server.key]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["201"] * 6, done.stderr
    events = events_of(server, "/node")
    assert [event["trace_id"] for event in events.values()] == ["café 5%", "/node", "/node"]
    assert events["object"]["data"]["data"] == {"total": 1.5}
    assert str(events["object"]["data"]["extension"]) == "5"
    assert events["text"]["data"]["data"] == "text"
    assert events["bytes"]["data"]["data_base64"] == "Af8="
