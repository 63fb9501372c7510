"""Programs that use a client, and run until they exit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bytelog.clients import bytelog_client
from support.programs import require
from support.server import Server

FOLDER = Path(bytelog_client.__file__).parent
NODE = ["node", "--input-type=module", "-e"]
RUBY = ["ruby", "-r", "./bytelog", "-e"]


def environment(url: str) -> dict[str, str]:
    return os.environ | {
        "BYTELOG_URL": url,
        "BYTELOG_API_KEY": Server.key,
        "PYTHONPATH": str(FOLDER),
    }


def run(server: Server, command: list[str], script: str) -> str:
    done = end(server, command, script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def end(server: Server, command: list[str], script: str) -> subprocess.CompletedProcess[str]:
    """Run a program until it exits, with any status."""
    require(command[0])
    return subprocess.run(
        [*command, script],
        env=environment(server.url),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
    )
