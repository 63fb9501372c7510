"""bytelog's commands, run in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from . import servers

_TIMEOUT_SECONDS = 1800


def build_command(folder: Path, *arguments: str | Path) -> list[str]:
    """Return a command line of bytelog for a data folder."""
    return ["env", f"BYTELOG_DATA={folder}", sys.executable, "-m", "bytelog", *map(str, arguments)]


def measure_seconds(command: list[str]) -> float:
    """Run a command and return its duration; raises CalledProcessError if it fails."""
    began = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        cwd=servers.ROOT,
        env=servers.build_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_TIMEOUT_SECONDS,
    )
    return time.perf_counter() - began
