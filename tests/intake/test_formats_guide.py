from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server

from bytelog import create_app
from bytelog.auth import keys

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "formats.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
PROGRAMS = {"sh": "sh", "python": sys.executable, "javascript": "node"}
SAMPLES = [
    (section, language, number)
    for section, text in SECTIONS.items()
    for number, language in enumerate(re.findall(r"^```(\w+)\n", text, re.MULTILINE))
    if language in PROGRAMS
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("formats")) as server:
        yield server


@pytest.fixture(scope="module")
def packages() -> Path:
    return install_packages(ROOT / "tests" / "support" / "formats")


def read_blocks(section: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


def read_events(server: Server, key: str) -> list[dict[str, Any]]:
    response = server.request(EVENTS, Authorization=f"Bearer {key}")
    return list(json.loads(response.body)["events"])


@pytest.mark.parametrize(("section", "language", "number"), SAMPLES)
def test_a_sample_records_an_event(
    server: Server, packages: Path, tmp_path: Path, section: str, language: str, number: int
) -> None:
    with create_app(instance_path=server.folder / "data").app_context():
        key = keys.create("alice", f"{section} {number}")
    blocks = read_blocks(section)
    text = blocks[number][1].replace("http://127.0.0.1:8000", server.url)
    program = tmp_path / f"sample{'.mjs' if language == 'javascript' else ''}"
    program.write_text(text.replace("YOUR_API_KEY", key))
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [PROGRAMS[language], program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (event,) = read_events(server, key)
    language, shown = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
    if language == "json":
        assert event == json.loads(shown)
