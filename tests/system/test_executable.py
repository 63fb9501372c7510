from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.server import Server, SpawnedServer, wait_for

from bytelog.cli.commands import COMMANDS
from bytelog.migrations import upgrade as migrations

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parents[1] / "support" / "samples"
MAX_BYTES = 35 * 1024 * 1024
MAX_SECONDS = 2
HOME = "home"
"""The current directory of bytelog in the bare root."""


def bare(root: Path) -> list[str]:
    """Return the command that runs the executable with its own root and process ids."""
    alone = ["--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *alone, f"--root={root}", f"--wd=/{HOME}", "/bytelog"]


def run(root: Path, *arguments: str) -> str:
    return subprocess.check_output([*bare(root), *arguments], text=True, timeout=20)


class Executable(SpawnedServer):
    """The executable's `bytelog serve`, in a root without other programs."""

    def __init__(self, root: Path) -> None:
        self.program = bare(root)
        super().__init__(root.parent, BYTELOG_DATA="", BYTELOG_API_KEY=Server.key)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal like a terminal: to the process that unpacks and to its child."""
        unpacking = _child(self.process.pid)
        for process in (unpacking, _child(unpacking)):
            os.kill(process, number)
        return self.process.wait(40)

    def count(self) -> int:
        return int(json.loads(self.request(EVENTS).body)["count"])


def _child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text())


@pytest.fixture
def root(executable: Path, tmp_path: Path) -> Path:
    """Return a root with only the C library and the executable."""
    root = tmp_path / "root"
    for folder in ("proc", "tmp", HOME):
        (root / folder).mkdir(parents=True)
    belonging = subprocess.check_output(["dpkg", "--listfiles", "libc6"], text=True)
    for path in re.findall(r"^/lib\S+\.so\S*$", belonging, re.MULTILINE):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    shutil.copy(executable, root)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Executable]:
    with Executable(root) as server:
        yield server


def test_the_executable_is_small(executable: Path) -> None:
    assert executable.stat().st_size < MAX_BYTES


def test_the_executable_needs_only_the_c_library(executable: Path) -> None:
    needed = subprocess.check_output(["ldd", executable], text=True)
    assert set(re.findall(r"(\S+) =>", needed)) == {"libc.so.6"}


def test_the_executable_starts_fast(server: Executable) -> None:
    def start() -> float:
        server.stop()
        began = time.perf_counter()
        server.start()
        return time.perf_counter() - began

    # Other processes only ever make a start slower.
    assert any(start() < MAX_SECONDS for _ in range(10))


def test_events_are_kept_over_a_restart(server: Executable) -> None:
    assert server.request(EVENTS, json.dumps(CLICK).encode()).status == 201
    assert json.loads(server.request(EVENTS).body)["events"] == [CLICK]
    wait_for(lambda: stops_cleanly(server))
    server.start()
    assert server.count() == 1


def stops_cleanly(server: Executable) -> bool:
    """Press Ctrl-C and return whether the server stopped cleanly.

    The server takes the two signals for one if they come within SAME_SIGNAL_SECONDS. A busy
    machine can miss that; then the server is started again.
    """
    if server.stop(signal.SIGINT) == 0:
        return "stopped" in server.log.read_text()
    server.start()
    return False


def test_keys_are_created_listed_and_revoked_beside_a_running_server(
    root: Path, server: Executable
) -> None:
    key = run(root, "keys", "create", "alice", "--project", "shop").strip()
    authorization = f"Bearer {key}"
    assert "alice" in run(root, "keys", "list")
    assert server.request(EVENTS, Authorization=authorization).status == 200
    run(root, "keys", "revoke", "alice")
    wait_for(lambda: server.request(EVENTS, Authorization=authorization).status == 401, 2)


def test_the_data_folder_is_in_the_current_directory_and_no_temporary_file_remains(
    root: Path, server: Executable
) -> None:
    server.request(EVENTS, json.dumps(CLICK).encode())
    (unpacked,) = (root / "tmp").iterdir()
    assert list(unpacked.rglob("*.db*")) == []
    server.stop()
    assert [path.name for path in (root / HOME).iterdir()] == ["instance"]
    assert (root / HOME / "instance" / "bytelog.db").exists()
    assert list((root / "tmp").iterdir()) == []


def files(folder: Path) -> set[Path]:
    paths = [path for path in (folder / "bytelog").rglob("*") if path.is_file()]
    return {path.relative_to(folder) for path in paths if path.suffix != ".pyc"}


def test_the_executable_contains_every_file_of_the_package(root: Path, server: Executable) -> None:
    (unpacked,) = (root / "tmp").iterdir()
    assert files(unpacked) == files(ROOT)
    assert json.loads(server.request("/openapi.json").body)["paths"]
    assert b'class="k' in server.request("/docs").body  # a keyword highlighted by Pygments


def test_the_executable_has_every_command(root: Path) -> None:
    listed = re.findall(r"^  (\w+)  ", run(root, "--help"), re.MULTILINE)
    assert set(listed) == {command.name for command in COMMANDS}


def test_a_database_of_the_previous_release_is_upgraded(root: Path) -> None:
    data = root / HOME / "instance"
    data.mkdir()
    with closing(sqlite3.connect(data / "bytelog.db")) as connection:
        connection.executescript((SAMPLES / "release_0_1_0.sql").read_text())
    assert "alice" in run(root, "keys", "list")
    assert json.loads(run(root, "export"))["id"] == 1
    with closing(sqlite3.connect(data / "bytelog.db")) as connection:
        query = f"SELECT version_num FROM {migrations.VERSION_TABLE}"
        assert connection.execute(query).fetchall() == [(migrations.HEAD,)]
