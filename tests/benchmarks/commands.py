"""bytelog's commands, as somebody runs them in a shell."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from . import servers

_PATIENCE_SECONDS = 1800


def bytelog(folder: Path, *arguments: str | Path) -> list[str]:
    """Return a command of bytelog's on a data folder."""
    return ["env", f"BYTELOG_DATA={folder}", sys.executable, "-m", "bytelog", *map(str, arguments)]


def seconds(command: list[str]) -> float:
    """Return how long a command takes; raises CalledProcessError for one that fails."""
    began = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        cwd=servers.ROOT,
        env=servers.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE_SECONDS,
    )
    return time.perf_counter() - began
