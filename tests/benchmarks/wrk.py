"""wrk, the load generator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from .servers import API_KEY, Server

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Load:
    """The results of wrk: the number of responses and of failures, and times in seconds."""

    requests: int
    failed: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return (self.requests - self.failed) / self.seconds


def post(server: Server, clients: int, seconds: int) -> Load:
    return _run("load.lua", server.events_url, clients, seconds)


def follow(server: Server, traces: int, seconds: int) -> Load:
    return _run("load.lua", server.events_url, 1, seconds, str(traces))


def get(url: str, seconds: int) -> Load:
    return _run("report.lua", url, 1, seconds)


def send(url: str, bodies: Path, first: int, clients: int, seconds: int) -> Load:
    """Post prepared bodies, skipping the first lines of a file."""
    return _run("prepared.lua", url, clients, seconds, str(bodies), str(first))


def check(loads: Iterable[Load]) -> None:
    failed = sum(load.failed for load in loads)
    if failed:
        raise click.ClickException(f"{failed} requests failed (wrk: Non-2xx or socket errors)")


def build_command(script: str, url: str, clients: int, seconds: int, *arguments: str) -> list[str]:
    """Return the command that sends requests to a server."""
    path = str(Path(__file__).with_name(script))
    load = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", f"{_TIMEOUT_SECONDS}s"]
    return [*load, "-s", path, "-H", f"Authorization: Bearer {API_KEY}", url, "--", *arguments]


def parse_load(output: str) -> Load:
    """Return the load that wrk reported."""
    return Load(**json.loads(output.splitlines()[-1]))


def _run(script: str, url: str, clients: int, seconds: int, *arguments: str) -> Load:
    result = subprocess.run(
        build_command(script, url, clients, seconds, *arguments),
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 2 * _TIMEOUT_SECONDS,
    )
    return parse_load(result.stdout)
