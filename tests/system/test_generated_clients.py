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
from support.docs_page import Sample, samples
from support.node_packages import install_packages
from support.server import Server

from bytelog import create_app
from bytelog.auth import keys
from bytelog.queries.formats import LINES_TYPES

pytestmark = pytest.mark.slow

GENERATORS = Path(__file__).parents[1] / "support" / "generators"
SECTIONS = ["python-client", "typescript-client"]
SWITCHES = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}

# These endpoints need no key and have no parameters, so a request cannot be wrong.
EXEMPT = {
    ("operation-4xx-response", "#/paths/~1healthz/get/responses"),
    ("operation-4xx-response", "#/paths/~1openapi.json/get/responses"),
}
EXPECTED_WARNINGS = [f"Unsupported content type {media_type}" for media_type in LINES_TYPES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("generators"), BYTELOG_API_KEY=Server.key) as server:
        yield server


@pytest.fixture(scope="module")
def packages() -> Path:
    return install_packages(GENERATORS)


@pytest.fixture
def description(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_bytes(server.request("/openapi.json").body)
    return path


def run(packages: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    programs = [packages / "node_modules" / ".bin", Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | SWITCHES | {"PATH": path},
        capture_output=True,
        text=True,
    )


def read_samples(server: Server, section: str, key: str) -> tuple[Sample, Sample]:
    """Return the commands and the program of a section, with a key."""
    page = server.request("/docs").body.decode()
    commands, program = [sample for sample in samples(page) if sample.section == section]
    program.text = program.text.replace("YOUR_API_KEY", key)
    return commands, program


@pytest.mark.parametrize("section", SECTIONS)
def test_a_generated_client_posts_lists_and_follows_a_trace(
    server: Server, packages: Path, tmp_path: Path, section: str
) -> None:
    with create_app(instance_path=server.folder / "data").app_context():
        key = keys.create("alice", section)
    commands, program = read_samples(server, section, key)
    (tmp_path / program.caption).write_text(program.text)
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    # The packages are installed, in the versions of the lock file and of this environment.
    script = re.sub(r"^(pip|npm) install .*\n", "", commands.text)
    done = run(packages, tmp_path, "sh", "-ec", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert program.output.strip() in done.stdout
    stored = server.request(EVENTS, Authorization=f"Bearer {key}").body
    assert [event["id"] for event in json.loads(stored)["events"]] == [1, 2, 3]


def test_the_generator_for_python_leaves_out_ndjson_alone(
    packages: Path, description: Path
) -> None:
    command = ["openapi-python-client", "generate", "--path", str(description)]
    done = run(packages, description.parent, *command, "--meta", "none", "--output-path", "client")
    warnings = re.findall(r"^WARNING .*\n\n(.*)$", done.stderr, re.MULTILINE)
    assert (done.returncode, warnings) == (0, EXPECTED_WARNINGS)


def test_redocly_finds_nothing_in_the_description(packages: Path, description: Path) -> None:
    done = run(packages, description.parent, "redocly", "lint", description.name, "--format=json")
    problems: list[dict[str, Any]] = json.loads(done.stdout)["problems"]
    found = {(problem["ruleId"], problem["location"][0]["pointer"]) for problem in problems}
    assert (done.returncode, found) == (0, EXEMPT)


def test_spectral_finds_nothing_in_the_description(packages: Path, description: Path) -> None:
    (description.parent / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    command = ["spectral", "lint", "--format=json", "--quiet", description.name]
    done = run(packages, description.parent, *command)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
