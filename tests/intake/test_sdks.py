"""The SDKs as the guide uses them, each behind a proxy that fails, and then loses a response."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.api import EVENTS
from support.faulty_proxy import Proxy, proxy
from support.node_packages import install_packages
from support.server import Server

from bytelog import create_app
from bytelog.auth import keys

GUIDE = (Path(__file__).parents[2] / "docs" / "sdks.md").read_text()
PACKAGES = Path(__file__).parents[1] / "support" / "sdks"
SECTIONS = ("Segment", "RudderStack", "PostHog")
LANGUAGES = {"python": ("py", sys.executable), "javascript": ("mjs", "node")}
SDKS = [f"{section}-{language}" for section in SECTIONS for language in LANGUAGES]

pytestmark = pytest.mark.slow


class Run(NamedTuple):
    process: subprocess.Popen[str]
    proxy: Proxy
    key: str


def find_sample(sdk: str) -> str:
    section, language = sdk.split("-")
    text = GUIDE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    (sample,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(sample)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Start all SDKs at once: each waits before it sends again."""
    folder = tmp_path_factory.mktemp("sdks")
    (folder / "node_modules").symlink_to(install_packages(PACKAGES) / "node_modules")
    with ExitStack() as stack:
        server = stack.enter_context(Server(folder))
        service = create_app({}, server.folder / "data")
        runs = {}
        for sdk in SDKS:
            with service.app_context():
                key = keys.create(sdk, sdk, scopes=["read", "write"])
            faulty = stack.enter_context(proxy(server, [{"status": 503}, {"status": "lost"}]))
            runs[sdk] = Run(start(folder, sdk, faulty.url, key), faulty, key)
        yield runs


def start(folder: Path, sdk: str, url: str, key: str) -> subprocess.Popen[str]:
    extension, program = LANGUAGES[sdk.split("-")[1]]
    file = folder / f"{sdk}.{extension}"
    sample = find_sample(sdk).replace("https://log.example", url).replace("YOUR_API_KEY", key)
    file.write_text(sample)
    output = subprocess.PIPE
    return subprocess.Popen([program, file], cwd=folder, stdout=output, stderr=output, text=True)


@pytest.mark.parametrize("sdk", SDKS)
def test_an_event_of_an_sdk_is_stored_once_although_it_is_sent_again(
    runs: dict[str, Run], sdk: str
) -> None:
    run = runs[sdk]
    output, errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 0, output + errors
    assert len(run.proxy.requests) == 3
    response = run.proxy.server.request(EVENTS, Authorization=f"Bearer {run.key}")
    (event,) = list_events(response.body)
    assert (event["name"], event["trace_id"]) == ("Order Completed", "user-7")
    assert event["data"]["properties"]["total"] == 59.9
    assert datetime.now(UTC) - datetime.fromisoformat(event["date"]) < timedelta(minutes=1)
    assert run.key not in response.body.decode() + run.proxy.server.log.read_text()


def list_events(body: bytes) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(body)["events"]
    return events
