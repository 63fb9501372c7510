"""The load generator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from .servers import API_KEY, Server

_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers, those that were errors among them, and times in seconds."""

    requests: int
    failed: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return (self.requests - self.failed) / self.seconds


def post(server: Server, clients: int, seconds: int) -> Load:
    return _load("load.lua", server.events_url, clients, seconds)


def follow(server: Server, traces: int, seconds: int) -> Load:
    return _load("load.lua", server.events_url, 1, seconds, str(traces))


def get(url: str, seconds: int) -> Load:
    return _load("report.lua", url, 1, seconds)


def send(url: str, bodies: Path, first: int, clients: int, seconds: int) -> Load:
    """Post prepared bodies, from the line `first` of a file on."""
    return _load("prepared.lua", url, clients, seconds, str(bodies), str(first))


def check(loads: Iterable[Load]) -> None:
    failed = sum(load.failed for load in loads)
    if failed:
        raise click.ClickException(f"{failed} requests failed (wrk: Non-2xx or socket errors)")


def command(script: str, url: str, clients: int, seconds: int, *arguments: str) -> list[str]:
    """Return the command that puts a load on a server."""
    path = str(Path(__file__).with_name(script))
    load = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", f"{_PATIENCE_SECONDS}s"]
    return [*load, "-s", path, "-H", f"Authorization: Bearer {API_KEY}", url, "--", *arguments]


def load(output: str) -> Load:
    """Return the load that wrk reports."""
    return Load(**json.loads(output.splitlines()[-1]))


def _load(script: str, url: str, clients: int, seconds: int, *arguments: str) -> Load:
    result = subprocess.run(
        command(script, url, clients, seconds, *arguments),
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 2 * _PATIENCE_SECONDS,
    )
    return load(result.stdout)
