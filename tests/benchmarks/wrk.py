"""The load generator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from .servers import API_KEY, Server

_SCRIPT = Path(__file__).with_name("load.lua")


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
    return _load(server, clients, seconds)


def follow(server: Server, traces: int, seconds: int) -> Load:
    return _load(server, 1, seconds, str(traces))


def check(loads: Iterable[Load]) -> None:
    failed = sum(load.failed for load in loads)
    if failed:
        raise click.ClickException(f"{failed} requests failed (wrk: Non-2xx or socket errors)")


def _load(server: Server, clients: int, seconds: int, *arguments: str) -> Load:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    command += ["-H", f"Authorization: Bearer {API_KEY}", server.events_url, "--", *arguments]
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=seconds + 30
    )
    return Load(**json.loads(result.stdout.splitlines()[-1]))
