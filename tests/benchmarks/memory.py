"""The memory that a long listing takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from . import database, listing, servers
from .figures import Figure, Run, format_spread


def measure(run: Run) -> Iterator[Figure]:
    folder = database.prepare_folder(run, run.events)
    growths = [_measure_growth(folder) for _ in range(run.rounds)]
    yield Figure(
        f"memory while listing {run.events:,}",
        "growth of the server's VmRSS",
        format_spread(growths, ".1f", " MB"),
        "≤ 16 MB",
    )


def _measure_growth(folder: Path) -> float:
    with servers.run_bytelog(folder) as server:
        server.get(f"{servers.EVENTS}/trace/{database.trace_id(0)}")
        before = highest = server.resident()
        with subprocess.Popen(listing.build_command(server)) as curl:
            while curl.poll() is None:
                highest = max(highest, server.resident())
                time.sleep(0.01)
        if curl.returncode:
            raise subprocess.CalledProcessError(curl.returncode, "curl")
    return highest - before
