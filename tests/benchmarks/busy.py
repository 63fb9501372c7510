"""Writers while a command works on the same database, against the same without it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import database, servers, wrk
from .commands import bytelog, seconds
from .figures import Figure, Run, versus
from .wrk import Load

_CLIENTS = 8
_PATIENCE_SECONDS = 1800


def measure(run: Run) -> Iterator[Figure]:
    copy, half = run.folder / "copy", _middle(run)
    commands: dict[str, Callable[[Path], list[str]]] = {
        "backup": lambda folder: bytelog(folder, "backup", copy),
        "export": lambda folder: bytelog(folder, "export", copy),
        "prune": lambda folder: bytelog(folder, "prune", "--before", half),
    }
    for name, command in commands.items():
        rounds = [_round(run, command) for _ in range(run.rounds)]
        quiet, busy = ([load.p99 * 1000 for load in side] for side in zip(*rounds, strict=True))
        yield Figure(
            f"writers while `bytelog {name}` runs",
            f"p99 in ms of {_CLIENTS} clients ÷ that without it",
            versus(busy, quiet, ".1f"),
            "≤ 2",
        )


def _middle(run: Run) -> str:
    dates = [row[4] for row in database.rows(run.events // 2 + 1)]
    return dates[-1]


def _round(run: Run, command: Callable[[Path], list[str]]) -> tuple[Load, Load]:
    # A copy, because pruning leaves nothing to prune.
    folder = run.folder / "busy"
    shutil.copytree(database.stored(run, run.events), folder)
    with servers.bytelog(folder) as server:
        wrk.check([wrk.post(server, _CLIENTS, 1)])
        quiet = wrk.post(server, _CLIENTS, run.seconds)
        busy = _load_during(server, command(folder), run.seconds)
    shutil.rmtree(folder)
    wrk.check([quiet, busy])
    return quiet, busy


def _load_during(server: servers.Server, command: list[str], at_least: int) -> Load:
    load = wrk.command("load.lua", server.events_url, _CLIENTS, _PATIENCE_SECONDS)
    with subprocess.Popen(load, stdout=subprocess.PIPE, text=True) as generator:
        deadline = time.monotonic() + at_least
        try:
            while seconds(command) and time.monotonic() < deadline:
                pass
        finally:
            generator.send_signal(signal.SIGINT)
        output, _ = generator.communicate(timeout=60)
    return wrk.load(output)
