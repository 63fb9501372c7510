"""The latency of writers while a command runs on the same database, against that without it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import database, servers, wrk
from .commands import build_command, measure_seconds
from .figures import Figure, Run, format_ratios
from .wrk import Load

_CLIENTS = 8
_TIMEOUT_SECONDS = 1800


def measure(run: Run) -> Iterator[Figure]:
    copy, middle = run.folder / "copy", _find_middle(run)
    commands: dict[str, Callable[[Path], list[str]]] = {
        "backup": lambda folder: build_command(folder, "backup", copy),
        "export": lambda folder: build_command(folder, "export", copy),
        "prune": lambda folder: build_command(folder, "prune", "--before", middle),
    }
    for name, command in commands.items():
        rounds = [_measure_round(run, command) for _ in range(run.rounds)]
        quiet, busy = ([load.p99 * 1000 for load in side] for side in zip(*rounds, strict=True))
        yield Figure(
            f"writers while `bytelog {name}` runs",
            f"p99 in ms of {_CLIENTS} clients ÷ that without it",
            format_ratios(busy, quiet, ".1f"),
            "≤ 2",
        )


def _find_middle(run: Run) -> str:
    dates = [row[4] for row in database.generate_rows(run.events // 2 + 1)]
    return dates[-1]


def _measure_round(run: Run, command: Callable[[Path], list[str]]) -> tuple[Load, Load]:
    # Use a copy, because a second prune would find nothing.
    folder = run.folder / "busy"
    shutil.copytree(database.prepare_folder(run, run.events), folder)
    with servers.run_bytelog(folder) as server:
        wrk.check([wrk.post(server, _CLIENTS, 1)])
        quiet = wrk.post(server, _CLIENTS, run.seconds)
        busy = _load_during(server, command(folder), run.seconds)
    shutil.rmtree(folder)
    wrk.check([quiet, busy])
    return quiet, busy


def _load_during(server: servers.Server, command: list[str], at_least: int) -> Load:
    load = wrk.build_command("load.lua", server.events_url, _CLIENTS, _TIMEOUT_SECONDS)
    with subprocess.Popen(load, stdout=subprocess.PIPE, text=True) as generator:
        deadline = time.monotonic() + at_least
        try:
            while measure_seconds(command) and time.monotonic() < deadline:
                pass
        finally:
            generator.send_signal(signal.SIGINT)
        output, _ = generator.communicate(timeout=60)
    return wrk.parse_load(output)
