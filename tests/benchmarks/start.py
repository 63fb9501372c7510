"""The start of `bytelog serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import servers
from .figures import Figure, Run, spread

_TO_ANSWER = "`bytelog serve` to the first 200 of `GET /healthz`"


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "start"
    _start(folder)  # the database is made, and Python has compiled what it imports
    rounds = [
        (_start(folder), _start(run.folder / f"start-{number}")) for number in range(run.rounds)
    ]
    again, first = ([one[side] for one in rounds] for side in (0, 1))
    for name, starts in (("start", again), ("start, empty folder", first)):
        yield Figure(name, _TO_ANSWER, spread([it[0] for it in starts], unit=" s"), "≤ 0.5 s")
    resident = spread([it[1] for it in again], ".1f", " MB")
    yield Figure("resident memory after start", "VmRSS", resident, "≤ 60 MB")


def _start(folder: Path) -> tuple[float, float]:
    with servers.bytelog(folder) as server:
        return server.started_in, server.resident()
