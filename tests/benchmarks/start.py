"""The start of `bytelog serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import servers
from .figures import Figure, Run, format_spread

_MEASURED_AS = "`bytelog serve` to the first 200 of `GET /healthz`"


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "start"
    _start(folder)  # creates the database, and Python's bytecode files
    rounds = [
        (_start(folder), _start(run.folder / f"start-{number}")) for number in range(run.rounds)
    ]
    again, first = zip(*rounds, strict=True)
    for name, starts in (("start", again), ("start, empty folder", first)):
        yield Figure(
            name,
            _MEASURED_AS,
            format_spread([seconds for seconds, _ in starts], unit=" s"),
            "≤ 0.5 s",
        )
    resident = format_spread([megabytes for _, megabytes in again], ".1f", " MB")
    yield Figure("resident memory after start", "VmRSS", resident, "≤ 60 MB")


def _start(folder: Path) -> tuple[float, float]:
    with servers.run_bytelog(folder) as server:
        return server.started_in, server.resident()
