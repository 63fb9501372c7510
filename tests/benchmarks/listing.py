"""Listing all events, against SQLite's own shell."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from . import database, servers
from .figures import Figure, Run, format_ratios

_QUERY = "SELECT id, name, trace_id, date, data FROM event WHERE project_id = 1 ORDER BY date, key"
_TIMEOUT_SECONDS = 300


def measure(run: Run) -> Iterator[Figure]:
    folder = database.prepare_folder(run, run.events)
    shell = ["sqlite3", "-readonly", "-json", str(folder / "bytelog.db"), _QUERY]
    with servers.run_bytelog(folder) as server:
        curl = build_command(server)
        rounds = [(_time(curl), _time(shell)) for _ in range(run.rounds + 1)]
    ours, theirs = zip(*rounds[1:], strict=True)
    yield Figure(
        f"list {run.events:,} events",
        "seconds of `GET /api/v1/events` ÷ those of `sqlite3 -json`",
        format_ratios(ours, theirs, ".2f"),
        "≤ 1.0",
    )


def build_command(server: servers.Server) -> list[str]:
    """Return the command that lists all events."""
    key = f"Authorization: Bearer {servers.API_KEY}"
    return ["curl", "-sf", "-o", "/dev/null", "-H", key, server.events_url]


def _time(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=_TIMEOUT_SECONDS)
    return time.perf_counter() - began
